//! The events of an `sse` scope.
//= PAGI::Spec::Www "Server-Sent Events (SSE)"

use super::{received, sent};

sent! {
    /// What an application sends in an `sse` scope.
    SseSend {
        /// Starts the event stream: status and headers.
        "sse.start" => Start { status: Int, headers: Pairs },
        /// An event.
        "sse.send" => Send { data: Text, event: Text, id: Text, retry: Text },
        /// A comment, which no client shows.
        "sse.comment" => Comment { comment: Text },
        /// Sets or stops the comments that keep an idle stream open.
        "sse.keepalive" => Keepalive { interval: Number, comment: Text },
        /// Ends the stream.
        "sse.close" => Close { reason: Text },
        /// Starts a response in the stream's stead.
        "sse.http.response.start" => DeclineStart { status: Int, headers: Pairs },
        /// A piece of the body of such a response.
        "sse.http.response.body" => DeclineBody { body: Bytes, more: Flag },
    }
}

received! {
    /// What an application receives in an `sse` scope.
    SseReceive {
        /// A piece of the request body.
        "sse.request" => Request { body: Bytes, more: Flag },
        /// The stream is over.
        "sse.disconnect" => Disconnect { reason: Text },
    }
}
