//! The responses that the server makes itself, as a table.
//= PAGI::Spec::Www "Server-generated responses"

use crate::error::Reason;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $body:literal, $reason:ident;)*) => {
        /// A response of the server's own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal { $($(#[$doc])* $name,)* }

        impl Refusal {
            /// Its status code.
            pub fn status(self) -> u16 {
                match self { $(Refusal::$name => $status,)* }
            }

            /// Its `text/plain` body.
            pub fn body(self) -> &'static str {
                match self { $(Refusal::$name => $body,)* }
            }

            /// Further field lines of its head.
            pub fn lines(self) -> &'static str {
                match self {
                    Refusal::UpgradeRequired => {
                        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    },
                    _ => "",
                }
            }

            /// What the application of a running request hears.
            pub fn reason(self) -> Reason {
                match self { $(Refusal::$name => Reason::$reason,)* }
            }
        }
    };
}

refusals! {
    /// Malformed request line, field or framing.
    BadRequest = 400, "Bad Request", ProtocolError;
    /// `chunked` is listed, but not as the last coding.
    ChunkedNotFinal = 400, "chunked must be the final Transfer-Encoding", ProtocolError;
    /// Both ways to delimit a body.
    LengthAndChunked = 400,
        "Transfer-Encoding and Content-Length are mutually exclusive", ProtocolError;
    /// A chunk header or terminator that is none.
    BadChunk = 400, "Invalid chunk size", ProtocolError;
    /// The application rejects a handshake.
    Forbidden = 403, "Forbidden", ServerError;
    /// The head, or the body, took too long.
    RequestTimeout = 408, "Request Timeout", ClientTimeout;
    /// The body, or its declared length, exceeds `max_body_size`.
    PayloadTooLarge = 413, "Payload Too Large", BodyTooLarge;
    /// A chunk above the largest chunk size.
    ChunkTooLarge = 413, "Chunk Too Large", ProtocolError;
    /// The request line exceeds its limit.
    UriTooLong = 414, "URI Too Long", ProtocolError;
    /// A WebSocket handshake of another version than 13.
    UpgradeRequired = 426, "Upgrade Required", ProtocolError;
    /// The head exceeds its limits.
    HeaderFieldsTooLarge = 431, "Request Header Fields Too Large", ProtocolError;
    /// The application failed before it answered.
    InternalServerError = 500, "Internal Server Error", ServerError;
    /// A tunnel to somewhere else, over HTTP/2.
    NoConnect = 501, "CONNECT method not supported", ProtocolError;
    /// A transfer coding other than chunked.
    UnsupportedCoding = 501, "Unsupported Transfer-Encoding", ProtocolError;
}

/// Sent to a connection above `max_connections`, byte for byte.
pub const AT_CAPACITY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain\r\nContent-Length: 46\r\nConnection: close\r\nRetry-After: 5\r\n\r\n\
    503 Service Unavailable - Server at capacity\r\n";
