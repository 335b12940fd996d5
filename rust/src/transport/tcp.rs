//! TCP: what an accepted connection needs.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::{SockAddr, SockRef};
use tokio::net::TcpStream;

use super::{Io, Peer};

/// Readies an accepted connection.
pub fn accepted(stream: TcpStream, client: SocketAddr) -> (Io, Peer) {
    // Small responses must not wait for an ACK (RFC 896 against delayed ACKs).
    let _ = SockRef::from(&stream).set_tcp_nodelay(true);
    let peer = peer(Some(client), stream.local_addr().ok());
    (Io::Tcp(stream), peer)
}

/// Both addresses of a socket that somebody else accepted.
pub fn peer_of(socket: &impl AsFd) -> Peer {
    let socket = SockRef::from(socket);
    let address = |found: io::Result<SockAddr>| found.ok().and_then(|a| a.as_socket());
    peer(address(socket.peer_addr()), address(socket.local_addr()))
}

/// Stands in for what has no address (one end of a socket pair, say).
fn peer(client: Option<SocketAddr>, server: Option<SocketAddr>) -> Peer {
    let pair = |address: SocketAddr| (address.ip().to_string(), address.port());
    let (host, port) = server.map_or_else(|| ("127.0.0.1".into(), 5000), pair);
    let client = client.map_or_else(|| ("127.0.0.1".into(), 0), pair);
    Peer { client: Some(client), server: (host, Some(port)), tls: None }
}
