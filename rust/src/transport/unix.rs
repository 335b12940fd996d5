//! Unix stream sockets.

use super::Peer;

/// Both ends: the client has no address, the server is the socket's path.
pub fn peer(path: &str) -> Peer {
    Peer { client: None, server: (path.to_owned(), None), tls: None }
}
