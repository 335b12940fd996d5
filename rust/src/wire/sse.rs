//! Events and comments of an event stream, byte for byte.
//= PAGI::Spec::Www "Send SSE", "SSE Comment"

use memchr::{memchr, memchr2};

/// What is wrong with a field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A newline in the event's name.
    Name,
    /// A newline in its id.
    Id,
    /// A `retry` that is no number of milliseconds.
    Retry,
}

impl Fault {
    /// What is said about it.
    pub fn text(self) -> &'static str {
        match self {
            Fault::Name => "Invalid SSE event name: contains newline",
            Fault::Id => "Invalid SSE id: contains newline",
            Fault::Retry => "Invalid SSE retry: must be a non-negative integer",
        }
    }
}

/// One event, whose fields can go on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dispatch<'a> {
    event: &'a str,
    data: &'a str,
    id: &'a str,
    retry: Option<&'a str>,
}

/// The fields of an event as the application gave them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// Its name.
    pub event: Option<&'a str>,
    /// Its text.
    pub data: Option<&'a str>,
    /// What a client that comes again sends as `Last-Event-ID`.
    pub id: Option<&'a str>,
    /// Milliseconds after which it comes again.
    pub retry: Option<&'a str>,
}

impl<'a> Dispatch<'a> {
    /// Checks what could forge lines or whole events.
    pub fn new(given: &Given<'a>) -> Result<Dispatch<'a>, Fault> {
        let line = |field: Option<&'a str>, fault| match field.unwrap_or_default() {
            text if memchr2(b'\r', b'\n', text.as_bytes()).is_some() => Err(fault),
            text => Ok(text),
        };
        let (event, id) = (line(given.event, Fault::Name)?, line(given.id, Fault::Id)?);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if given.retry.is_some_and(|retry| !is_number(retry)) {
            return Err(Fault::Retry);
        }
        Ok(Dispatch { event, data: given.data.unwrap_or_default(), id, retry: given.retry })
    }

    /// Its bytes on the wire, as far as one can tell without splitting it into lines.
    pub fn least_len(&self) -> usize {
        self.data.len() + self.event.len() + self.id.len()
    }

    /// Its bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.least_len() + 64);
        self.put(&mut out);
        out
    }

    /// Whether those are these.
    pub fn is(&self, bytes: &[u8]) -> bool {
        let mut left = Same(bytes);
        self.put(&mut left) && left.0.is_empty()
    }

    fn put(&self, out: &mut impl Sink) -> bool {
        let field = |out: &mut _, name: &[u8], value: &str| {
            Sink::put(out, name) && Sink::put(out, value.as_bytes()) && Sink::put(out, b"\n")
        };
        (self.event.is_empty() || field(out, b"event: ", self.event))
            && lines(self.data).all(|line| field(out, b"data: ", line))
            && (self.id.is_empty() || field(out, b"id: ", self.id))
            && self.retry.is_none_or(|retry| field(out, b"retry: ", retry))
            && out.put(b"\n")
    }
}

/// Where bytes go; false where the rest may stay away.
trait Sink {
    fn put(&mut self, bytes: &[u8]) -> bool;
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> bool {
        self.extend_from_slice(bytes);
        true
    }
}

/// Bytes that are to be the same as those put.
struct Same<'a>(&'a [u8]);

impl Sink for Same<'_> {
    fn put(&mut self, bytes: &[u8]) -> bool {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.unwrap_or_default();
        rest.is_some()
    }
}

/// A comment's bytes on the wire.
pub fn comment(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    for line in lines(text) {
        if !line.starts_with(':') {
            out.push(b':');
        }
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
    out
}

/// The lines of a text; CRLF, CR and LF end one. Empty ones at the end count.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    // A search for both is taken up only where there is a CR.
    let has_cr = memchr(b'\r', text.as_bytes()).is_some();
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let bytes = text.as_bytes();
        let end = if has_cr { memchr2(b'\r', b'\n', bytes) } else { memchr(b'\n', bytes) };
        let Some(end) = end else { return rest.take() };
        let ender = if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = text.get(end + ender..);
        text.get(..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(data: &str) -> Given<'_> {
        Given { data: Some(data), ..Given::default() }
    }

    fn text(given: &Given<'_>) -> String {
        let dispatch = Dispatch::new(given).expect("an event");
        let bytes = dispatch.bytes();
        assert!(dispatch.is(&bytes));
        assert!(!dispatch.is(&bytes[1..]) && !dispatch.is(&bytes[..bytes.len() - 1]));
        assert!(!dispatch.is(&[&bytes[..], b"\n"].concat()));
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn the_table_of_the_contract() {
        assert_eq!(text(&data("hello")), "data: hello\n\n");
        let all =
            Given { event: Some("msg"), data: Some("a\nb"), id: Some("10"), retry: Some("1000") };
        assert_eq!(text(&all), "event: msg\ndata: a\ndata: b\nid: 10\nretry: 1000\n\n");
        assert_eq!(text(&data("a\r\nb\rc\nd")), "data: a\ndata: b\ndata: c\ndata: d\n\n");
        assert_eq!(text(&data("")), "data: \n\n");
        assert_eq!(text(&Given::default()), "data: \n\n");
        assert_eq!(text(&data("a\n")), "data: a\ndata: \n\n");
        assert_eq!(text(&data("\r\r\n\n")), "data: \ndata: \ndata: \ndata: \n\n");
        assert_eq!(text(&data("gr\u{fc}n \u{1f600}")), "data: gr\u{fc}n \u{1f600}\n\n");
    }

    #[test]
    fn empty_fields_are_left_out_but_for_retry() {
        let given = Given { event: Some(""), id: Some(""), ..data("x") };
        assert_eq!(text(&given), "data: x\n\n");
        assert_eq!(text(&Given { retry: Some("0"), ..data("x") }), "data: x\nretry: 0\n\n");
    }

    #[test]
    fn nothing_forges_a_line() {
        for end in ["\n", "\r", "\r\n"] {
            let forged = format!("x{end}data: y");
            let fault = |given: &Given<'_>| Dispatch::new(given).err();
            assert_eq!(fault(&Given { event: Some(&forged), ..data("") }), Some(Fault::Name));
            assert_eq!(fault(&Given { id: Some(&forged), ..data("") }), Some(Fault::Id));
            assert_eq!(fault(&Given { retry: Some(&forged), ..data("") }), Some(Fault::Retry));
        }
        for retry in ["", "-1", "1.5", "1e3", " 1", "\u{661}"] {
            let given = Given { retry: Some(retry), ..data("x") };
            assert_eq!(Dispatch::new(&given).err(), Some(Fault::Retry), "{retry}");
        }
    }

    #[test]
    fn comments() {
        let text = |given| String::from_utf8(comment(given)).expect("UTF-8");
        assert_eq!(text(":keepalive"), ":keepalive\n\n");
        assert_eq!(text("hi\n:there"), ":hi\n:there\n\n");
        assert_eq!(text(""), ":\n\n");
        assert_eq!(text("a\r\nevent: x\r"), ":a\n:event: x\n:\n\n");
    }
}
