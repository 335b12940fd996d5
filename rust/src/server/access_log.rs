//! The access log language: a format is compiled once and rendered for each finished request.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use crate::error::Reason;
use crate::scope::Tally;
use crate::stream::Stream;
use crate::transport::Peer;
use crate::wire::{Fields, Refusal, RequestHead, Version};

/// Named formats.
const PRESETS: &[(&str, &str)] = &[
    ("clf", r#"%h - - [%t] "%m %U%q" %s %ds"#),
    ("combined", r#"%h - - [%t] "%r" %s %b "%{Referer}i" "%{User-Agent}i""#),
    ("common", r#"%h - - [%t] "%r" %s %b"#),
    ("tiny", "%m %U%q %s %Mms"),
];

/// What a finished request tells the log. Absent parts are written as `-`.
#[derive(Default)]
pub struct Request<'a> {
    /// Client address.
    pub client: Option<&'a str>,
    /// When the line is written.
    pub time: Time<'a>,
    /// Request method.
    pub method: Option<&'a [u8]>,
    /// Path, undecoded.
    pub path: Option<&'a [u8]>,
    /// Query string without its `?`.
    pub query: &'a [u8],
    /// HTTP version.
    pub version: Option<&'a str>,
    /// Status sent; 0 for none.
    pub status: u16,
    /// Body bytes.
    pub bytes: u64,
    /// From the parsed head to the end.
    pub duration: Duration,
    /// Why it ended before it was complete.
    pub reason: Option<Reason>,
    /// Request headers.
    pub fields: Option<&'a Fields>,
}

/// The time of a line.
#[derive(Clone, Copy, Debug)]
pub enum Time<'a> {
    /// To be formatted.
    At(SystemTime),
    /// As it is to be written.
    Text(&'a [u8]),
}

impl Default for Time<'_> {
    fn default() -> Self {
        Time::Text(b"-")
    }
}

impl<'a> Request<'a> {
    /// A request that had a stream.
    pub fn finished(stream: &'a Stream, tally: Tally) -> Request<'a> {
        let request = Request::of(&stream.peer, Some(&stream.request));
        // Over HTTP/2 a tunnel opens with a success like any other.
        let is_switch = tally.status == 101 && stream.request.version == Version::Http2;
        let status = if is_switch { 200 } else { tally.status };
        let (bytes, reason) = (tally.bytes, tally.reason);
        Request { status, bytes, reason, duration: stream.age(), ..request }
    }

    /// A request that the server refused.
    pub fn refused(peer: &'a Peer, head: Option<&'a RequestHead>, refusal: Refusal) -> Request<'a> {
        let reason = Some(refusal.reason());
        Request { status: refusal.status(), reason, ..Request::of(peer, head) }
    }

    fn of(peer: &'a Peer, head: Option<&'a RequestHead>) -> Request<'a> {
        Request {
            client: Some(peer.name()),
            time: Time::At(SystemTime::now()),
            method: head.map(|h| h.text(h.method)),
            path: head.map(|h| h.text(h.raw_path)),
            query: head.map_or(b"", |h| h.text(h.query)),
            version: head.map(|h| h.version.text()),
            fields: head.map(|h| &h.fields),
            ..Request::default()
        }
    }

    fn header(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields.and_then(|fields| fields.first(name))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Atom {
    Text(String),
    Client,
    Nobody,
    Time,
    Line,
    Method,
    Path,
    Query,
    Version,
    Status,
    BytesOrDash,
    Bytes,
    Seconds,
    Millis,
    Micros,
    WholeSeconds,
    Reason,
    Field(String),
}

/// A compiled format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    atoms: Vec<Atom>,
}

impl Format {
    /// Compiles a preset's name or a format; the error is the contract's text.
    pub fn compile(format: &str) -> Result<Format, String> {
        let preset = PRESETS.iter().find(|(name, _)| *name == format);
        let is_preset = preset.is_some();
        let source = preset.map_or(format, |(_, source)| source);
        let mut atoms = Vec::new();
        let mut rest = source;
        while let Some(at) = rest.find('%') {
            push_text(&mut atoms, &rest[..at]);
            let mut letters = rest[at + 1..].chars();
            rest = match letters.next() {
                // A lone trailing % is dropped.
                None => "",
                Some('{') => field(&mut atoms, letters.as_str())?,
                Some('%') => {
                    push_text(&mut atoms, "%");
                    letters.as_str()
                }
                // The preset's own atom: milliseconds have no letter in the language.
                Some('M') if is_preset => {
                    atoms.push(Atom::Millis);
                    letters.as_str()
                }
                Some(letter) => {
                    atoms.push(atom(letter)?);
                    letters.as_str()
                }
            };
        }
        push_text(&mut atoms, rest);
        Ok(Format { atoms })
    }

    /// Renders a line, without its newline.
    pub fn line(&self, request: &Request<'_>) -> String {
        let mut out = String::with_capacity(96);
        for atom in &self.atoms {
            render(&mut out, atom, request);
        }
        out
    }
}

fn push_text(atoms: &mut Vec<Atom>, text: &str) {
    match atoms.last_mut() {
        _ if text.is_empty() => {}
        Some(Atom::Text(before)) => before.push_str(text),
        _ => atoms.push(Atom::Text(text.to_owned())),
    }
}

fn field<'a>(atoms: &mut Vec<Atom>, rest: &'a str) -> Result<&'a str, String> {
    let end = rest.find('}').ok_or("Unterminated %{...} in access log format\n")?;
    let name = &rest[..end];
    let rest = rest[end + 1..].strip_prefix('i');
    let rest = rest.ok_or(format!("Expected 'i' after %{{{name}}} in access log format\n"))?;
    atoms.push(Atom::Field(name.to_ascii_lowercase()));
    Ok(rest)
}

fn atom(letter: char) -> Result<Atom, String> {
    Ok(match letter {
        'h' => Atom::Client,
        'l' | 'u' => Atom::Nobody,
        't' => Atom::Time,
        'r' => Atom::Line,
        'm' => Atom::Method,
        'U' => Atom::Path,
        'q' => Atom::Query,
        'H' => Atom::Version,
        's' => Atom::Status,
        'b' => Atom::BytesOrDash,
        'B' => Atom::Bytes,
        'd' => Atom::Seconds,
        'D' => Atom::Micros,
        'T' => Atom::WholeSeconds,
        'R' => Atom::Reason,
        other => return Err(format!("Unknown access log format atom '%{other}'\n")),
    })
}

fn render(out: &mut String, atom: &Atom, request: &Request<'_>) {
    match atom {
        Atom::Text(text) => out.push_str(text),
        Atom::Client => escape(out, request.client.unwrap_or("-").as_bytes()),
        Atom::Nobody => out.push('-'),
        Atom::Time => match request.time {
            Time::At(at) => time(out, at),
            Time::Text(text) => escape(out, text),
        },
        Atom::Line => {
            escape(out, request.method.unwrap_or(b"-"));
            out.push(' ');
            escape(out, request.path.unwrap_or(b"-"));
            query(out, request.query);
            version(out, request, " ");
        }
        Atom::Method => escape(out, request.method.unwrap_or(b"-")),
        Atom::Path => escape(out, request.path.unwrap_or(b"-")),
        Atom::Query => query(out, request.query),
        Atom::Version => version(out, request, ""),
        Atom::Status if request.status == 0 => out.push('-'),
        Atom::Status => out.push_str(itoa::Buffer::new().format(request.status)),
        Atom::BytesOrDash if request.bytes == 0 => out.push('-'),
        Atom::BytesOrDash | Atom::Bytes => {
            out.push_str(itoa::Buffer::new().format(request.bytes));
        }
        Atom::Seconds => put(out, format_args!("{:.3}", request.duration.as_secs_f64())),
        Atom::Millis => put(out, format_args!("{}", request.duration.as_millis())),
        Atom::Micros => put(out, format_args!("{}", request.duration.as_micros())),
        Atom::WholeSeconds => put(out, format_args!("{}", request.duration.as_secs())),
        Atom::Reason => out.push_str(request.reason.map_or("-", Reason::token)),
        Atom::Field(name) => escape(out, request.header(name.as_bytes()).unwrap_or(b"-")),
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

fn query(out: &mut String, query: &[u8]) {
    if !query.is_empty() {
        out.push('?');
        escape(out, query);
    }
}

fn version(out: &mut String, request: &Request<'_>, before: &str) {
    match request.version {
        Some(version) => {
            put(out, format_args!("{before}HTTP/"));
            escape(out, version.as_bytes());
        }
        None => put(out, format_args!("{before}-")),
    }
}

/// A request must not be able to forge a line or a quoted part of it.
fn escape(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => put(out, format_args!("\\x{byte:02X}")),
            _ => out.push(*byte as char),
        }
    }
}

/// Where the year 10000 begins: an IMF-fixdate has four digits for it.
const END_OF_DATES: Duration = Duration::from_secs(253_402_300_800);

/// `10/Feb/2026:12:34:56 +0000`, from the parts of an IMF-fixdate.
fn time(out: &mut String, now: SystemTime) {
    if now.duration_since(SystemTime::UNIX_EPOCH).map_or(true, |since| since >= END_OF_DATES) {
        return out.push('-');
    }
    let date = httpdate::fmt_http_date(now);
    let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or("-");
    let (day, month, year) = (part(5..7), part(8..11), part(12..16));
    put(out, format_args!("{day}/{month}/{year}:{} +0000", part(17..25)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>() -> Request<'a> {
        Request {
            client: Some("10.0.0.1"),
            time: Time::At(SystemTime::UNIX_EPOCH + Duration::from_secs(1_770_726_896)),
            method: Some(b"GET"),
            path: Some(b"/a\"b"),
            query: b"x=1",
            version: Some("1.1"),
            status: 200,
            bytes: 5,
            duration: Duration::from_micros(1_234_567),
            ..Request::default()
        }
    }

    fn render(format: &str) -> String {
        Format::compile(format).map(|f| f.line(&request())).unwrap_or_else(|e| e)
    }

    #[test]
    fn atoms() {
        assert_eq!(render("%h %l %u %m %H %s"), "10.0.0.1 - - GET HTTP/1.1 200");
        assert_eq!(render("%t"), "10/Feb/2026:12:34:56 +0000");
        assert_eq!(render("%b %B %d %D %T %%"), "5 5 1.235 1234567 1 %");
        assert_eq!(render("%r"), "GET /a\\x22b?x=1 HTTP/1.1");
        assert_eq!(render("%{Referer}i"), "-");
        assert_eq!(render("trailing %"), "trailing ");
    }

    #[test]
    fn a_time_that_has_no_date() {
        let late = SystemTime::UNIX_EPOCH + END_OF_DATES;
        let line = |time| Format::compile("%t").map(|f| f.line(&Request { time, ..request() }));
        assert_eq!(line(Time::At(late)), Ok("-".into()));
        let last = Time::At(late - Duration::from_secs(1));
        assert_eq!(line(last), Ok("31/Dec/9999:23:59:59 +0000".into()));
    }

    #[test]
    fn what_the_caller_gives_forges_no_line() {
        let forged = Request { client: Some("1\n2"), version: Some("1\n1"), ..request() };
        let line = Format::compile("%h %H").map(|f| f.line(&forged));
        assert_eq!(line, Ok("1\\x0A2 HTTP/1\\x0A1".into()));
    }

    #[test]
    fn why_it_ended() {
        let line =
            |reason| Format::compile("%s %R").map(|f| f.line(&Request { reason, ..request() }));
        assert_eq!(line(None), Ok("200 -".into()));
        assert_eq!(line(Some(Reason::IdleTimeout)), Ok("200 idle_timeout".into()));
    }

    #[test]
    fn presets() {
        let clf = "10.0.0.1 - - [10/Feb/2026:12:34:56 +0000] \"GET /a\\x22b?x=1\" 200 1.235s";
        assert_eq!(render("clf"), clf);
        assert_eq!(render("tiny"), "GET /a\\x22b?x=1 200 1234ms");
    }

    #[test]
    fn errors_name_the_atom() {
        assert_eq!(render("%Z"), "Unknown access log format atom '%Z'\n");
        assert_eq!(render("%M"), "Unknown access log format atom '%M'\n");
        assert_eq!(render("%{x"), "Unterminated %{...} in access log format\n");
        assert_eq!(render("%{x}o"), "Expected 'i' after %{x} in access log format\n");
    }
}
