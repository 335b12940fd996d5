//! The events of a `websocket` scope.
//= PAGI::Spec::Www "WebSocket"

use super::{received, sent};

sent! {
    /// What an application sends in a `websocket` scope.
    WebSocketSend {
        /// Accepts the handshake.
        "websocket.accept" => Accept { subprotocol: Text, headers: Pairs },
        /// A message, of text or of bytes.
        "websocket.send" => Send { text: Text, bytes: Bytes },
        /// Closes the WebSocket, or rejects the handshake.
        "websocket.close" => Close { code: Int, reason: Text },
        /// Sets or stops the pings that look after the client.
        "websocket.keepalive" => Keepalive { interval: Number, timeout: Number },
        /// Starts a response that denies the handshake.
        "websocket.http.response.start" => DenialStart { status: Int, headers: Pairs },
        /// A piece of the body of such a response.
        "websocket.http.response.body" => DenialBody { body: Bytes, more: Flag },
    }
}

received! {
    /// What an application receives in a `websocket` scope.
    WebSocketReceive {
        /// A client wants to open a WebSocket.
        "websocket.connect" => Connect {},
        /// A message of text.
        "websocket.receive" => Text { text: Text },
        /// A message of bytes.
        "websocket.receive" => Binary { bytes: Bytes },
        /// The WebSocket is closed.
        "websocket.disconnect" => Disconnect { code: Int, reason: Text },
    }
}
