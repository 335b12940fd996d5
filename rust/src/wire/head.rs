//! Heads as typed values: what a request asks for and what a response starts with.

use super::fields::{Fields, Span};

/// The HTTP version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1, and any later 1.x
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// As `http_version` in the scope.
    pub fn text(self) -> &'static str {
        match self {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
            Version::Http2 => "2",
        }
    }
}

/// The methods whose meaning the server itself must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Answered without a body.
    Head,
    /// Anything else.
    Other,
}

/// The decoded path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// The raw path as it stands: ASCII without escapes.
    Raw,
    /// Characters: UTF-8 that was valid once the escapes were decoded.
    Text(Vec<u8>),
    /// Bytes that are not UTF-8.
    Bytes(Vec<u8>),
}

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked; over HTTP/2 any body whose length is not told.
    Chunked,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// All text of the head; names in lower case.
    pub fields: Fields,
    /// The method, in upper case.
    pub method: Span,
    /// The target up to its first `?`, undecoded.
    pub raw_path: Span,
    /// The target after its first `?`.
    pub query: Span,
    /// `raw_path`, decoded.
    pub path: Path,
    /// The version.
    pub version: Version,
    /// How the body is delimited.
    pub body: Body,
    /// Connection: close
    pub close: bool,
    /// Connection: keep-alive
    pub keep_alive: bool,
    /// Expect: 100-continue
    pub expect_continue: bool,
    /// The handshake of a WebSocket.
    pub websocket: bool,
    /// Accept lists text/event-stream
    pub event_stream: bool,
    /// The scheme where the client tells it: over HTTP/2.
    pub scheme: Option<Span>,
}

impl RequestHead {
    /// The text of one of the head's spans.
    pub fn text(&self, span: Span) -> &[u8] {
        span.in_bytes(&self.fields.bytes)
    }

    /// The items of a list that may be spread over several lines, joined by commas alone.
    pub fn list(&self, name: &[u8]) -> Vec<u8> {
        let lines = self.fields.iter().filter(|(n, _)| *n == name);
        let items = lines.flat_map(|(_, value)| value.split(|byte| *byte == b','));
        let mut joined = Vec::new();
        for item in items.map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()) {
            if !joined.is_empty() {
                joined.push(b',');
            }
            joined.extend_from_slice(item);
        }
        joined
    }

    /// Raw data is to flow both ways, once it is accepted.
    pub fn asks_for_tunnel(&self) -> bool {
        self.websocket
    }

    /// The client waits to be asked for the body.
    pub fn awaits_continue(&self) -> bool {
        self.expect_continue && self.body != Body::None && self.version == Version::Http11
    }

    /// Which method this is, as far as the server cares.
    pub fn method_kind(&self) -> Method {
        if self.text(self.method) == b"HEAD" { Method::Head } else { Method::Other }
    }

    /// The path for the scope, and whether it is characters.
    pub fn path(&self) -> (&[u8], bool) {
        match &self.path {
            Path::Raw => (self.text(self.raw_path), false),
            Path::Text(text) => (text, true),
            Path::Bytes(bytes) => (bytes, false),
        }
    }
}

/// The head of a response, checked, with what the protocol must know of its fields.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// The application's fields, those that belong to the server left out.
    pub fields: Fields,
    /// The application's Content-Length.
    pub content_length: Option<u64>,
    /// The application gave a Date.
    pub has_date: bool,
    /// The application gave a Server.
    pub has_server: bool,
    /// The application asked for `Connection: close`.
    pub close: bool,
    /// No body follows, whatever the fields say: HEAD, 204, 205, 304.
    pub bodyless: bool,
    /// The body goes on until its stream ends, and the connection with it: a connection that may
    /// not be closed before is told so.
    pub endless: bool,
}

impl ResponseHead {
    /// Takes over one checked field of the application's.
    ///
    /// Framing and connection fields are the server's: Transfer-Encoding, Keep-Alive and
    /// Proxy-Connection are dropped, of Connection only `close` is heeded.
    //= PAGI::Spec::Www "Connection-level and framing headers belong to the server"
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"date") => self.has_date = true,
            6 if name.eq_ignore_ascii_case(b"server") => self.has_server = true,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.close |= lists(value, b"close");
                return;
            }
            10 if name.eq_ignore_ascii_case(b"keep-alive") => return,
            14 if name.eq_ignore_ascii_case(b"content-length") && !self.add_length(value) => return,
            16 if name.eq_ignore_ascii_case(b"proxy-connection") => return,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => return,
            _ => {}
        }
        self.fields.push(name, value);
    }

    /// Declares the length of the body, whatever the application said.
    pub fn set_length(&mut self, length: u64) {
        let given = self.content_length.replace(length);
        let digits = length.to_string();
        if given.is_none() {
            self.fields.push(b"content-length", digits.as_bytes());
        } else if given != Some(length) {
            let value = self.fields.append(digits.as_bytes());
            let Fields { bytes, spans } = &mut self.fields;
            let is_length = |name: &[u8]| name.eq_ignore_ascii_case(b"content-length");
            for span in spans.iter_mut().filter(|(name, _)| is_length(name.in_bytes(bytes))) {
                span.1 = value;
            }
        }
    }

    /// A second or unreadable Content-Length is dropped: two lengths are a framing attack on
    /// whoever reads the response.
    fn add_length(&mut self, value: &[u8]) -> bool {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
        if !digits || length.is_none() || self.content_length.is_some() {
            return false;
        }
        self.content_length = length;
        true
    }
}

/// Fields that say how a message is framed, routed, controlled, authenticated or decoded: whoever
/// reads them after the body has already decided. They are dropped, as they are from a head where
/// they belong to the server.
//= RFC 9110 6.5.1
const NOT_IN_TRAILERS: &[&str] = &[
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "warning",
    "www-authenticate",
];

/// Whether a field may be sent after the body.
pub fn may_trail(name: &[u8]) -> bool {
    !NOT_IN_TRAILERS.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// Whether a comma-separated list names `token`, in any case.
pub fn lists(value: &[u8], token: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_fields_of_the_application_are_dropped() {
        let mut head = ResponseHead::default();
        head.add(b"Transfer-Encoding", b"chunked");
        head.add(b"Connection", b"foo, Close");
        head.add(b"Keep-Alive", b"timeout=5");
        head.add(b"Content-Length", b"5");
        head.add(b"Content-Length", b"6");
        head.add(b"X-A", b"b");
        let names: Vec<_> = head.fields.iter().map(|(n, _)| n.to_vec()).collect();
        assert_eq!(names, [b"Content-Length".to_vec(), b"X-A".to_vec()]);
        assert_eq!((head.content_length, head.close), (Some(5), true));
    }

    #[test]
    fn what_may_trail() {
        assert!(may_trail(b"Server-Timing") && may_trail(b"content-digest") && may_trail(b"x"));
        assert!(!may_trail(b"Content-Length") && !may_trail(b"host") && !may_trail(b"SET-COOKIE"));
    }

    #[test]
    fn a_list_names_a_token_in_any_case() {
        assert!(lists(b"Keep-Alive, CLOSE", b"close"));
        assert!(!lists(b"closed", b"close"));
    }
}
