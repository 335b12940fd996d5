//! How a response is delimited and whether its connection lives on.
//= RFC 9112 6.3, 9.3

use crate::wire::{RequestHead, ResponseHead, Version};

/// How the end of a response body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// By the application's Content-Length.
    Length,
    /// By the chunked coding.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// What the head of a response says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether another request may follow.
    pub keep: bool,
    /// The value of the Connection field, if there is one.
    pub connection: Option<&'static str>,
}

impl Plan {
    /// Decides for a response to `request`; `may_persist` is false where the server must close.
    pub fn new(request: &RequestHead, response: &ResponseHead, may_persist: bool) -> Plan {
        let framing = match (response.bodyless, response.content_length, request.version) {
            (true, ..) => Framing::None,
            (false, Some(_), _) => Framing::Length,
            (false, None, Version::Http11 | Version::Http2) => Framing::Chunked,
            (false, None, Version::Http10) => Framing::Close,
        };
        let wanted = match request.version {
            Version::Http11 | Version::Http2 => !request.close,
            Version::Http10 => request.keep_alive && !request.close,
        };
        let keep = wanted
            && may_persist
            && !response.close
            && !response.endless
            && framing != Framing::Close;
        let connection = match (request.version, keep) {
            (Version::Http11 | Version::Http2, true) => None,
            (Version::Http10, true) => Some("keep-alive"),
            (Version::Http11, false) if response.endless && !response.close => Some("keep-alive"),
            (_, false) => Some("close"),
        };
        Plan { framing, keep, connection }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::h1::request::parse_whole;

    fn plan(head: &str, response: &ResponseHead, may_persist: bool) -> Plan {
        Plan::new(&parse_whole(head), response, may_persist)
    }

    #[test]
    fn framing_and_persistence_table() {
        let none = ResponseHead::default();
        let sized = ResponseHead { content_length: Some(3), ..ResponseHead::default() };
        let bodyless = ResponseHead { bodyless: true, ..ResponseHead::default() };
        let closing = ResponseHead { close: true, ..ResponseHead::default() };
        let endless = ResponseHead { endless: true, ..ResponseHead::default() };
        let both = ResponseHead { close: true, ..endless.clone() };
        let v11 = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let v11_close = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let v10 = "GET / HTTP/1.0\r\n\r\n";
        let v10_keep = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
        for (head, response, may, framing, keep, connection) in [
            (v11, &none, true, Framing::Chunked, true, None),
            (v11, &none, false, Framing::Chunked, false, Some("close")),
            (v11, &sized, true, Framing::Length, true, None),
            (v11, &bodyless, true, Framing::None, true, None),
            (v11, &closing, true, Framing::Chunked, false, Some("close")),
            (v11_close, &sized, true, Framing::Length, false, Some("close")),
            (v10, &none, true, Framing::Close, false, Some("close")),
            (v10, &sized, true, Framing::Length, false, Some("close")),
            (v11, &endless, true, Framing::Chunked, false, Some("keep-alive")),
            (v11, &both, true, Framing::Chunked, false, Some("close")),
            (v10_keep, &endless, true, Framing::Close, false, Some("close")),
            (v10_keep, &none, true, Framing::Close, false, Some("close")),
            (v10_keep, &sized, true, Framing::Length, true, Some("keep-alive")),
        ] {
            assert_eq!(plan(head, response, may), Plan { framing, keep, connection }, "{head}");
        }
    }
}
