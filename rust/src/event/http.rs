//! The events of an `http` scope.
//= PAGI::Spec::Www "HTTP"

use super::{Direction, Field, Kind, Row, sent};
use bytes::Bytes;

sent! {
    /// What an application sends in an `http` scope.
    HttpSend {
        /// Starts the response: status and headers.
        "http.response.start" => ResponseStart { status: Int, headers: Pairs, trailers: Flag },
        /// A piece of the response body, or a file in its stead.
        "http.response.body" => ResponseBody {
            body: Bytes, more: Flag, file: Path, fh: Handle, offset: Int, length: Int
        },
        /// Trailer fields after the last body piece.
        "http.response.trailers" => ResponseTrailers { headers: Pairs },
        /// Asks that everything sent so far leave the server's buffers.
        "http.fullflush" => FullFlush {},
    }
}

/// What an application receives in an `http` scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpReceive {
    /// A piece of the request body.
    Request {
        /// The bytes.
        body: Bytes,
        /// Whether more is to come.
        more: bool,
    },
    /// The request is over.
    Disconnect,
}

impl HttpReceive {
    /// The rows of these events.
    pub const ROWS: &'static [Row] = &[
        Row {
            name: "http.request",
            direction: Direction::Receive,
            fields: &[
                Field { name: "body", kind: Kind::Bytes },
                Field { name: "more", kind: Kind::Int },
            ],
            doc: "A piece of the request body.",
        },
        Row {
            name: "http.disconnect",
            direction: Direction::Receive,
            fields: &[],
            doc: "The request is over: answered, or its client gone.",
        },
    ];

    /// This event's place in [`HttpReceive::ROWS`].
    pub fn row(&self) -> usize {
        match self {
            HttpReceive::Request { .. } => 0,
            HttpReceive::Disconnect => 1,
        }
    }
}
