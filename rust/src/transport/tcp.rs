//! TCP: binding and accepting.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;

use super::{FilePart, Io, Peer};

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
    };
    (Io::Tcp(stream), peer)
}

/// Most bytes of a file that one system call sends, so that a fast peer does not hold the thread.
const MOST_FILE: usize = 1024 * 1024;

/// Sends from the page cache to the socket, without a copy through this process.
#[cfg(target_os = "linux")]
pub fn poll_send_file(
    tcp: &TcpStream,
    cx: &mut Context<'_>,
    part: &mut FilePart<'_>,
) -> Poll<io::Result<usize>> {
    let most = part.most.min(MOST_FILE);
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        let sent = tcp.try_io(tokio::io::Interest::WRITABLE, || {
            Ok(rustix::fs::sendfile(tcp, part.file, Some(part.offset), most)?)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return Poll::Ready(sent),
        }
    }
}

/// Reads a piece and writes it, where the system has no sendfile of Linux's kind.
#[cfg(not(target_os = "linux"))]
pub fn poll_send_file(
    tcp: &TcpStream,
    cx: &mut Context<'_>,
    part: &mut FilePart<'_>,
) -> Poll<io::Result<usize>> {
    use std::os::unix::fs::FileExt;
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        let mut piece = vec![0; part.most.min(MOST_FILE / 16)];
        let read = part.file.read_at(&mut piece, *part.offset)?;
        match tcp.try_write(&piece[..read]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => {
                *part.offset += *sent.as_ref().unwrap_or(&0) as u64;
                return Poll::Ready(sent);
            }
        }
    }
}
