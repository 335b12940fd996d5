//! The events of an `http` scope.
//= PAGI::Spec::Www "HTTP"

use super::{received, sent};

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

received! {
    /// What an application receives in an `http` scope.
    HttpReceive {
        /// A piece of the request body.
        "http.request" => Request { body: Bytes, more: Flag },
        /// The request is over: answered, or its client gone.
        "http.disconnect" => Disconnect {},
    }
}
