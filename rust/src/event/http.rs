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

impl HttpSend<'_> {
    /// The place of `http.fullflush`, which other scopes know as well.
    pub const FULL_FLUSH: usize = 3;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_flush_is_where_others_look_for_it() {
        assert_eq!(HttpSend::ROWS[HttpSend::FULL_FLUSH].name, "http.fullflush");
    }
}
