//! TCP: binding and accepting.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::TcpStream;

use super::{Io, Peer};

/// Binds and listens on the first address of `host` that works. Blocks for name resolution, so
/// it runs on the caller's thread, before any connection is served.
pub fn bind(host: &str, port: u16, backlog: i32) -> io::Result<std::net::TcpListener> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "no address found for the host");
    for address in (bare, port).to_socket_addrs()? {
        match bind_one(address, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn bind_one(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

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
