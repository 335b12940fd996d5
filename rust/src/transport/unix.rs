//! Unix stream sockets.

use tokio::net::UnixStream;

use super::{Io, Peer};

/// Readies an accepted connection; its client has no address, its server is the socket's path.
pub fn accepted(stream: UnixStream, path: &str) -> (Io, Peer) {
    (Io::Unix(stream), Peer { client: None, server: (path.to_owned(), None), tls: None })
}
