//! TCP: binding and accepting.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
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
    let server = stream.local_addr().ok();
    let peer = Peer {
        client: Some((client.ip().to_string(), client.port())),
        server: match server {
            Some(server) => (server.ip().to_string(), Some(server.port())),
            None => ("127.0.0.1".into(), Some(5000)),
        },
        tls: None,
    };
    (Io::Tcp(stream), peer)
}
