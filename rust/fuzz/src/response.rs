//! What the client saw, read with another pair of eyes and held against what the calls had done.
//= RFC 9112 4, 6, 7, 9

use pagi_server::wire::Version;
use pagi_server::wire::fields::is_tchar;

use crate::chunks::{Model, Outcome};
use crate::record::Record;

/// Larger than any chunk that is sent.
const ANY_CHUNK: u64 = 1 << 30;

/// Everything that is known of a connection once it has ended.
pub struct Facts<'a> {
    /// All that the client read.
    pub bytes: &'a [u8],
    /// The calls, in order.
    pub records: &'a [Record],
    /// Requests that the server refused by itself.
    pub refused: usize,
    /// Whatever is unfinished may be: the client left, time ran out, the server was told to end.
    pub is_cut: bool,
}

/// The head of a response.
struct Head<'a> {
    version: &'a [u8],
    status: u16,
    fields: Vec<(Vec<u8>, &'a [u8])>,
    len: usize,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By its framing.
    Framed,
    /// With the connection, as its framing wants it.
    Closed,
    /// With the connection, too early.
    Broken,
}

/// Reads all responses and checks each.
pub fn check(facts: &Facts<'_>) {
    assert!(facts.refused <= 1, "a refusal is the last response");
    let (mut rest, mut count, mut is_over, mut invited) = (facts.bytes, 0, false, false);
    while !rest.is_empty() {
        assert!(!is_over, "bytes behind the last response: {:?}", text(rest));
        let record = facts.records.get(count);
        assert!(record.is_some() || facts.refused == 1, "more responses than requests");
        let Some(head) = Head::read(rest) else {
            assert!(facts.is_cut || record.is_some_and(|r| !r.completed), "half a head");
            break;
        };
        rest = &rest[head.len..];
        if head.status < 200 {
            let asked = record.is_some_and(|r| r.asked && r.stream.request.awaits_continue());
            assert!(asked && !invited && head.status == 100, "an uncalled interim response");
            invited = true;
            continue;
        }
        let (body, used, end) = head.body(rest, record);
        match record {
            Some(record) => check_response(facts, record, &head, &body, end),
            None => assert!(end == End::Framed || facts.is_cut, "a refusal cut short"),
        }
        is_over = end != End::Framed || record.is_none_or(|record| head.is_last(record));
        rest = &rest[used..];
        (count, invited) = (count + 1, false);
    }
    let unanswered = facts.records.iter().skip(count).find(|record| record.completed);
    assert!(facts.is_cut || unanswered.is_none(), "a complete response was never sent");
}

fn check_response(facts: &Facts<'_>, record: &Record, head: &Head<'_>, body: &[u8], end: End) {
    let request = &record.stream.request;
    let Some((status, declared)) = record.started else {
        // The server answered in the application's stead.
        assert!(matches!(head.status, 400 | 408 | 413 | 431 | 500 | 501), "{}", head.status);
        assert!(end == End::Framed || facts.is_cut, "a refusal cut short");
        return;
    };
    assert_eq!(head.status, status, "another call's response");
    assert_eq!(head.version == b"HTTP/1.0", request.version == Version::Http10, "version");
    assert!(record.body.starts_with(body), "another call's body");
    if record.completed {
        assert!(facts.is_cut || end != End::Broken, "a complete response was cut short");
        assert!(end == End::Broken || body.len() == record.body.len() || facts.is_cut, "cut body");
    } else {
        let counted = declared == Some(body.len() as u64) || record.is_bodyless();
        let visible = end == End::Broken || (end == End::Closed) || counted;
        assert!(visible, "nobody can see that this response is incomplete");
    }
    if request.close {
        assert!(head.is_last(record), "the client asked for a close");
    }
}

impl<'a> Head<'a> {
    /// The head at the front; `None` where it is cut short.
    fn read(bytes: &'a [u8]) -> Option<Head<'a>> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let mut lines = Vec::new();
        let (mut start, head) = (0, &bytes[..end + 2]);
        while let Some(at) = head[start..].windows(2).position(|pair| pair == b"\r\n") {
            lines.push(&head[start..start + at]);
            start += at + 2;
        }
        let line = lines[0];
        assert!(line.len() >= 13 && line[8] == b' ' && line[12] == b' ', "{:?}", text(line));
        let version = &line[..8];
        assert!(version == b"HTTP/1.1" || version == b"HTTP/1.0", "{:?}", text(line));
        let status = text(&line[9..12]).parse().expect("a status of three digits");
        for line in &lines {
            assert!(!line.iter().any(|b| b.is_ascii_control()), "a control in {:?}", text(line));
        }
        let fields = lines[1..].iter().map(|line| field(line)).collect();
        Some(Head { version, status, fields, len: end + 4 })
    }

    fn all(&self, name: &[u8]) -> Vec<&[u8]> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| *value).collect()
    }

    /// No other response may follow on the connection.
    fn is_last(&self, record: &Record) -> bool {
        let says = |word: &[u8]| self.all(b"connection").iter().any(|v| v == &word);
        let refused = record.started.is_none();
        refused || says(b"close") || (self.version == b"HTTP/1.0" && !says(b"keep-alive"))
    }

    /// The body at the front of `rest`, the bytes that it takes, and how it ended.
    //= RFC 9112 6.3
    fn body(&self, rest: &'a [u8], record: Option<&Record>) -> (Vec<u8>, usize, End) {
        let (lengths, codings) = (self.all(b"content-length"), self.all(b"transfer-encoding"));
        assert!(lengths.len() + codings.len() <= 1, "ambiguous framing");
        if record.is_some_and(Record::is_head) || matches!(self.status, 204 | 304) {
            return (Vec::new(), 0, End::Framed);
        }
        if let Some(length) = lengths.first() {
            let length = text(length).parse::<usize>().expect("a number");
            // The head of a request that was refused is not known here; it may have been HEAD.
            if record.is_none() && rest.is_empty() {
                return (Vec::new(), 0, End::Framed);
            }
            let used = length.min(rest.len());
            let end = if used == length { End::Framed } else { End::Broken };
            return (rest[..used].to_vec(), used, end);
        }
        if let Some(coding) = codings.first() {
            assert_eq!((*coding, self.version), (&b"chunked"[..], &b"HTTP/1.1"[..]));
            let model = Model::decode(rest, ANY_CHUNK);
            return match model.outcome {
                Outcome::Done(used) => (model.body, used, End::Framed),
                Outcome::Need => (model.body, rest.len(), End::Broken),
                Outcome::Refused(refusal) => panic!("no chunked body: {refusal:?}"),
            };
        }
        assert!(self.version == b"HTTP/1.0", "a body without an end");
        (rest.to_vec(), rest.len(), End::Closed)
    }
}

/// Name in lower case and value of a line.
fn field(line: &[u8]) -> (Vec<u8>, &[u8]) {
    let colon = line.windows(2).position(|pair| pair == b": ").expect("a field has a colon");
    let name = &line[..colon];
    assert!(!name.is_empty() && name.iter().all(|b| is_tchar(*b)), "{:?}", text(name));
    (name.to_ascii_lowercase(), &line[colon + 2..])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
