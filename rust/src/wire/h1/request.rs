//! The head of a request: found while its bytes arrive, then parsed whole.
//= RFC 9112 2, 3, 5

use std::mem::MaybeUninit;

use super::target;
use crate::wire::fields::{Fields, Span, is_tchar};
use crate::wire::head::lists;
use crate::wire::{Body, Path, Refusal, RequestHead, Version};

/// What a head may measure.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest request line, without its CRLF: 414.
    pub request_line: usize,
    /// Longest head, without its last empty line: 431.
    pub head: usize,
    /// Most fields: 431.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { request_line: 8192, head: 8192, fields: 100 }
    }
}

/// Looks for the end of a head as its bytes arrive, so that limits hold before it is complete.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    line_start: usize,
    searched: usize,
    first_line: usize,
    lines: usize,
}

impl Scan {
    /// The length of the head with its empty line, once it is all there.
    ///
    /// A line feed without a carriage return is refused at once: recipients that disagree on it
    /// disagree on where a request ends (RFC 9112 2.2, 11.2).
    pub fn find(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        if self.searched == 0 && buf.first().is_some_and(|b| !is_tchar(*b)) {
            return Err(Refusal::BadRequest);
        }
        while let Some(offset) = memchr::memchr(b'\n', &buf[self.searched..]) {
            let lf = self.searched + offset;
            let line = lf.saturating_sub(1);
            if lf == self.line_start || buf[line] != b'\r' {
                return Err(self.too_long(lf, limits).unwrap_or(Refusal::BadRequest));
            }
            self.searched = lf + 1;
            if line == self.line_start && self.lines > 0 {
                let head = line - 2;
                return self.too_long(head, limits).map_or(Ok(Some(lf + 1)), Err);
            }
            if self.lines == 0 {
                self.first_line = line;
            }
            self.lines += 1;
            self.line_start = lf + 1;
        }
        self.searched = buf.len();
        // The terminator may still be partly unread: three bytes of grace.
        self.too_long(buf.len().saturating_sub(3), limits).map_or(Ok(None), Err)
    }

    fn too_long(&self, head: usize, limits: &Limits) -> Option<Refusal> {
        let line = if self.lines == 0 { head } else { self.first_line };
        if line > limits.request_line {
            return Some(Refusal::UriTooLong);
        }
        (self.lines > 0 && head > limits.head).then_some(Refusal::HeaderFieldsTooLarge)
    }
}

/// Fields that fit on the stack while httparse runs; a head with more lines takes the heap.
const USUAL_FIELDS: usize = 48;

/// Parses a complete head, its empty line included.
pub fn parse(head: &[u8], scan: &Scan, limits: &Limits) -> Result<RequestHead, Refusal> {
    let mut bytes = head.to_vec();
    let line = &mut bytes[..scan.first_line];
    pin_minor_version(line);
    let is_ascii = line.is_ascii();
    if !is_ascii {
        mask_high_bytes(line);
    }
    let lines = if scan.lines <= USUAL_FIELDS {
        Lines::split(&bytes, &mut [const { MaybeUninit::uninit() }; USUAL_FIELDS])?
    } else {
        Lines::split(&bytes, &mut vec![MaybeUninit::uninit(); scan.lines])?
    };
    if !is_ascii {
        let target = lines.target.start as usize..(lines.target.start + lines.target.len) as usize;
        bytes[target.clone()].copy_from_slice(&head[target]);
    }
    let version = lines.version;
    let mut request = lines.into_head(bytes)?;
    let seen = Seen::gather(&mut request, limits)?;
    request.body = seen.body(version)?;
    seen.check_host(version)?;
    request.websocket &= seen.upgrade && seen.websocket_key && version == Version::Http11;
    request.websocket &= request.text(request.method) == b"GET";
    join_cookies(&mut request.fields, seen.cookies);
    if let Some(authority) = seen.authority {
        replace_host(&mut request.fields, authority);
    }
    Ok(request)
}

/// A later minor version is processed as 1.1 (RFC 9110 2.5); httparse knows 0 and 1 only.
fn pin_minor_version(line: &mut [u8]) {
    if let Some((minor, rest)) = line.split_last_mut() {
        if rest.ends_with(b" HTTP/1.") && matches!(minor, b'2'..=b'9') {
            *minor = b'1';
        }
    }
}

/// Raw bytes above ASCII are accepted in a target (contract 02, section 2), but httparse wants a
/// target to be UTF-8: it sees a stand-in that is legal in a target and nowhere else in the line
/// (a slash would be in a version).
fn mask_high_bytes(line: &mut [u8]) {
    for byte in line.iter_mut().filter(|byte| !byte.is_ascii()) {
        *byte = b'?';
    }
}

/// The lines of a head as spans, before anything is known of their meaning.
struct Lines {
    method: Span,
    target: Span,
    version: Version,
    fields: Vec<(Span, Span)>,
}

impl Lines {
    fn split<'a>(
        bytes: &'a [u8],
        slots: &mut [MaybeUninit<httparse::Header<'a>>],
    ) -> Result<Lines, Refusal> {
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, slots) {
            Ok(httparse::Status::Complete(used)) if used == bytes.len() => {}
            _ => return Err(Refusal::BadRequest),
        }
        let span = |part: &[u8]| Span::of(part, bytes);
        Ok(Lines {
            method: span(request.method.unwrap_or_default().as_bytes()),
            target: span(request.path.unwrap_or_default().as_bytes()),
            version: match request.version {
                Some(0) => Version::Http10,
                _ => Version::Http11,
            },
            fields: request
                .headers
                .iter()
                .map(|field| (span(field.name.as_bytes()), span(field.value.trim_ascii())))
                .collect(),
        })
    }

    /// Names in lower case, the method in upper case, the target split and decoded.
    fn into_head(self, mut bytes: Vec<u8>) -> Result<RequestHead, Refusal> {
        for (name, _) in &self.fields {
            bytes[name.start as usize..(name.start + name.len) as usize].make_ascii_lowercase();
        }
        let method = self.method.start as usize..(self.method.start + self.method.len) as usize;
        bytes[method].make_ascii_uppercase();
        Ok(RequestHead {
            fields: Fields { bytes, spans: self.fields },
            method: self.method,
            raw_path: self.target,
            query: Span::default(),
            path: Path::Raw,
            version: self.version,
            body: Body::None,
            close: false,
            keep_alive: false,
            expect_continue: false,
            websocket: false,
            event_stream: false,
            scheme: None,
        })
    }
}

/// What the fields say about framing, routing and the connection.
#[derive(Default)]
struct Seen {
    length: Option<Result<u64, Refusal>>,
    coding: Option<Coding>,
    hosts: usize,
    cookies: usize,
    authority: Option<Span>,
    upgrade: bool,
    websocket_key: bool,
}

/// The transfer codings of all Transfer-Encoding lines, in the order in which they were applied.
#[derive(Clone, Copy, Default)]
struct Coding {
    chunked: usize,
    unknown: usize,
    last_is_chunked: bool,
}

impl Seen {
    fn gather(request: &mut RequestHead, limits: &Limits) -> Result<Seen, Refusal> {
        let mut seen = Seen { authority: target::split(request)?, ..Seen::default() };
        let mut uncounted = 0;
        for at in 0..request.fields.spans.len() {
            let (name, value) = request.fields.spans[at];
            let bytes = &request.fields.bytes;
            let value = value.in_bytes(bytes);
            match name.in_bytes(bytes) {
                b"host" if !value.is_empty() && !target::is_authority(value) => {
                    return Err(Refusal::BadRequest);
                }
                b"host" => seen.hosts += 1,
                b"cookie" => seen.cookies += 1,
                b"content-type" => uncounted += 1,
                b"content-length" => {
                    uncounted += 1;
                    seen.add_length(value);
                }
                b"transfer-encoding" => seen.add_coding(value),
                b"connection" => {
                    request.close |= lists(value, b"close");
                    request.keep_alive |= lists(value, b"keep-alive");
                    seen.upgrade |= lists(value, b"upgrade");
                }
                b"expect" => request.expect_continue |= value.eq_ignore_ascii_case(b"100-continue"),
                b"upgrade" => request.websocket |= lists(value, b"websocket"),
                b"sec-websocket-key" => seen.websocket_key = true,
                b"accept" => request.event_stream |= target::wants_event_stream(value),
                _ => {}
            }
        }
        uncounted += seen.cookies.saturating_sub(1);
        if request.fields.spans.len() - uncounted > limits.fields {
            return Err(Refusal::HeaderFieldsTooLarge);
        }
        Ok(seen)
    }

    /// A repeated Content-Length is refused even where the values agree: two recipients may pick
    /// different ones.
    fn add_length(&mut self, value: &[u8]) {
        self.length = Some(match self.length {
            Some(_) => Err(Refusal::BadRequest),
            None => content_length(value),
        });
    }

    fn add_coding(&mut self, value: &[u8]) {
        let coding = self.coding.get_or_insert_default();
        for item in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            coding.last_is_chunked = item.eq_ignore_ascii_case(b"chunked");
            coding.chunked += usize::from(coding.last_is_chunked);
            coding.unknown += usize::from(!item.is_empty() && !is_known_coding(item));
        }
    }

    //= RFC 9112 6.1, 6.3
    fn body(&self, version: Version) -> Result<Body, Refusal> {
        let length = self.length.transpose()?;
        let Some(coding) = self.coding else {
            return Ok(match length {
                None | Some(0) => Body::None,
                Some(n) => Body::Length(n),
            });
        };
        match (coding.chunked, coding.last_is_chunked) {
            (0, _) => Err(Refusal::UnsupportedCoding),
            (_, false) => Err(Refusal::ChunkedNotFinal),
            (1, true) if length.is_some() => Err(Refusal::LengthAndChunked),
            (1, true) if coding.unknown > 0 => Err(Refusal::UnsupportedCoding),
            (1, true) if version == Version::Http11 => Ok(Body::Chunked),
            // Applied twice, or by a sender that cannot know the coding.
            (_, true) => Err(Refusal::BadRequest),
        }
    }

    //= RFC 9112 3.2
    fn check_host(&self, version: Version) -> Result<(), Refusal> {
        match (self.hosts, version) {
            (1, _) | (0, Version::Http10) => Ok(()),
            _ => Err(Refusal::BadRequest),
        }
    }
}

/// The registered codings (RFC 9112 7). The application is told of those below `chunked`; an
/// unknown one may be read as none, or as the end of the list, by somebody in front.
fn is_known_coding(item: &[u8]) -> bool {
    const KNOWN: [&[u8]; 6] =
        [b"chunked", b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
    KNOWN.iter().any(|known| item.eq_ignore_ascii_case(known))
}

/// Digits only; more than 2^31-1 is refused as too large whatever `max_body_size` says.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::BadRequest);
    }
    let number = (value.len() <= 10).then(|| std::str::from_utf8(value).ok()?.parse().ok());
    match number.flatten() {
        Some(n) if n <= i32::MAX as u64 => Ok(n),
        _ => Err(Refusal::PayloadTooLarge),
    }
}

/// Several Cookie lines become one, at the place of the first.
//= PAGI::Spec::Www "Cookie Header Normalization"
fn join_cookies(fields: &mut Fields, count: usize) {
    if count < 2 {
        return;
    }
    let mut joined = Vec::new();
    for (name, value) in fields.iter() {
        if name == b"cookie" {
            if !joined.is_empty() {
                joined.extend_from_slice(b"; ");
            }
            joined.extend_from_slice(value);
        }
    }
    let span = fields.append(&joined);
    let mut first = true;
    let bytes = std::mem::take(&mut fields.bytes);
    fields.spans.retain_mut(|(name, value)| {
        if name.in_bytes(&bytes) != b"cookie" {
            return true;
        }
        *value = span;
        std::mem::take(&mut first)
    });
    fields.bytes = bytes;
}

/// The authority of an absolute-form target stands above the Host field.
//= RFC 9112 3.2.2
fn replace_host(fields: &mut Fields, authority: Span) {
    let bytes = &fields.bytes;
    let at = fields.spans.iter().position(|(name, _)| name.in_bytes(bytes) == b"host");
    match at {
        Some(at) => fields.spans[at].1 = authority,
        None => {
            let name = fields.append(b"host");
            fields.spans.push((name, authority));
        }
    }
}

/// Scans and parses a head in one go, for tests.
#[cfg(test)]
pub fn parse_whole(head: &str) -> RequestHead {
    try_parse(head.as_bytes()).expect("a valid head")
}

#[cfg(test)]
/// Scans and parses a head in one go, for tests.
pub fn try_parse(head: &[u8]) -> Result<RequestHead, Refusal> {
    let (mut scan, limits) = (Scan::default(), Limits::default());
    let end = scan.find(head, &limits)?.expect("a complete head");
    parse(&head[..end], &scan, &limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(head: &str) -> Option<Refusal> {
        try_parse(head.as_bytes()).err()
    }

    fn names_and_values(head: &RequestHead) -> Vec<String> {
        let text = |b| String::from_utf8_lossy(b).into_owned();
        head.fields.iter().map(|(n, v)| format!("{}={}", text(n), text(v))).collect()
    }

    #[test]
    fn fields_keep_wire_order_and_lose_optional_whitespace() {
        let head = parse_whole(
            "get /x?a=b?c HTTP/1.1\r\nHost: h\r\nX-B: 1 \t\r\nX_a:  2\r\nx-b:3\r\n\r\n",
        );
        assert_eq!(names_and_values(&head), ["host=h", "x-b=1", "x_a=2", "x-b=3"]);
        assert_eq!(head.text(head.method), b"GET");
        assert_eq!((head.text(head.raw_path), head.text(head.query)), (&b"/x"[..], &b"a=b?c"[..]));
    }

    #[test]
    fn cookies_are_joined_at_the_place_of_the_first() {
        let head =
            parse_whole("GET / HTTP/1.1\r\nCookie: a=1\r\nHost: h\r\nCookie: b=2; c=3\r\n\r\n");
        assert_eq!(names_and_values(&head), ["cookie=a=1; b=2; c=3", "host=h"]);
    }

    #[test]
    fn an_absolute_target_gives_path_and_host() {
        let head = parse_whole("GET http://other:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(names_and_values(&head), ["host=other:81"]);
        assert_eq!((head.text(head.raw_path), head.text(head.query)), (&b"/p"[..], &b"q"[..]));
    }

    #[test]
    fn raw_high_bytes_are_legal_in_a_target_only() {
        let head = try_parse(b"GET /nob\xE9?\xFF HTTP/1.1\r\nHost: h\r\n\r\n").expect("valid");
        assert_eq!(head.text(head.raw_path), b"/nob\xE9");
        assert_eq!(head.text(head.query), b"\xFF");
        for line in [&b"G\xE9T / HTTP/1.1"[..], b"GET / HTTP\xD01.1", b"GET / HTTP/1.\xB1"] {
            let refused = try_parse(&[line, b"\r\nHost: h\r\n\r\n"].concat()).err();
            assert_eq!(refused, Some(Refusal::BadRequest), "{line:?}");
        }
    }

    #[test]
    fn later_minor_versions_are_1_1() {
        let head = parse_whole("GET / HTTP/1.9\r\nHost: h\r\n\r\n");
        assert_eq!(head.version, Version::Http11);
        assert_eq!(refusal("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), Some(Refusal::BadRequest));
    }

    #[test]
    fn grammar_refusals() {
        for head in [
            "GET /\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
            "GET / HTTP/1.1\nHost: h\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET ?q=1 HTTP/1.1\r\nHost: h\r\n\r\n",
            "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(refusal(head), Some(Refusal::BadRequest), "{head:?}");
        }
    }

    #[test]
    fn only_a_whole_handshake_is_a_websocket() {
        let websocket = |method: &str, lines: &str| {
            let head =
                format!("{method} / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n{lines}\r\n");
            parse_whole(&head).websocket
        };
        let key = "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: x\r\n";
        assert!(websocket("GET", key));
        assert!(!websocket("POST", key));
        assert!(!websocket("GET", "Connection: Upgrade\r\n"));
        assert!(!websocket("GET", "Sec-WebSocket-Key: x\r\n"));
    }

    #[test]
    fn framing_refusals() {
        let with = |lines: &str| refusal(&format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"));
        let te = "Transfer-Encoding: ";
        assert_eq!(with(&format!("{te}gzip")), Some(Refusal::UnsupportedCoding));
        assert_eq!(with(&format!("{te}chunked, gzip")), Some(Refusal::ChunkedNotFinal));
        assert_eq!(with(&format!("{te}gzip, chunked")), None);
        let both = format!("{te}chunked\r\nContent-Length: 3");
        assert_eq!(with(&both), Some(Refusal::LengthAndChunked));
        assert_eq!(with("Content-Length: 2147483648"), Some(Refusal::PayloadTooLarge));
        assert_eq!(with("Content-Length: 99999999999"), Some(Refusal::PayloadTooLarge));
        assert_eq!(with("Content-Length: 0000000005"), None);
    }

    #[test]
    fn limits_hold_before_the_head_is_complete() {
        let limits = Limits::default();
        let find = |text: String| Scan::default().find(text.as_bytes(), &limits);
        let line = |n: usize| format!("GET /{} HTTP/1.1", "x".repeat(n - 14));
        assert_eq!(find(line(9000)), Err(Refusal::UriTooLong));
        assert_eq!(find(line(8192)), Ok(None));
        assert_eq!(find(format!("{}\r\n", line(8193))), Err(Refusal::UriTooLong));
        let head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(9000));
        assert_eq!(find(head), Err(Refusal::HeaderFieldsTooLarge));
        assert_eq!(find("\u{16}\u{3}\u{1}".into()), Err(Refusal::BadRequest));
    }

    #[test]
    fn the_field_count_is_limited() {
        let many = |n: usize| {
            let lines: String = (1..n).map(|i| format!("X-{i}: y\r\n")).collect();
            format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
        };
        assert_eq!(refusal(&many(100)), None);
        assert_eq!(refusal(&many(101)), Some(Refusal::HeaderFieldsTooLarge));
    }

    #[test]
    fn every_split_of_a_head_is_found_alike() {
        let text = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
        let (mut scan, limits) = (Scan::default(), Limits::default());
        for end in 1..text.len() {
            match scan.find(&text[..end], &limits) {
                Ok(Some(head)) => return assert_eq!((head, end), (text.len() - 3, text.len() - 3)),
                other => assert_eq!(other, Ok(None)),
            }
        }
        panic!("the head was never found");
    }
}
