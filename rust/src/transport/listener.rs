//! Listening sockets: made by Perl, which knows who inherits them; accepted from here.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use socket2::{Domain, SockRef};

use super::{Io, Peer, tcp, unix};

/// A listening socket of either kind, not yet known to the runtime.
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix stream socket, and its path.
    Unix(UnixListener, String),
}

impl Socket {
    /// Takes a listening socket; `path` is that of a Unix socket, as the scope tells it.
    pub fn take(fd: OwnedFd, path: Option<&str>) -> io::Result<Socket> {
        let socket = SockRef::from(&fd);
        socket.set_nonblocking(true)?;
        let domain = socket.local_addr()?.domain();
        match path {
            Some(path) if domain == Domain::UNIX => Ok(Socket::Unix(fd.into(), path.into())),
            None if domain == Domain::IPV4 || domain == Domain::IPV6 => Ok(Socket::Tcp(fd.into())),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "unsupported address family")),
        }
    }

    /// Makes it known to the runtime of the calling thread.
    pub fn listener(self) -> io::Result<Listener> {
        Ok(match self {
            Socket::Tcp(tcp) => Listener::Tcp(tokio::net::TcpListener::from_std(tcp)?),
            Socket::Unix(unix, path) => {
                Listener::Unix(tokio::net::UnixListener::from_std(unix)?, path)
            }
        })
    }
}

/// A listening socket that can be awaited.
pub enum Listener {
    /// TCP.
    Tcp(tokio::net::TcpListener),
    /// A Unix stream socket, and its path.
    Unix(tokio::net::UnixListener, String),
}

impl Listener {
    /// The next connection. While there are some it does not wait, so that one wake-up takes a
    /// whole burst (as far as tokio lets one task go on: 128 of them).
    pub async fn accept(&self) -> io::Result<(Io, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                listener.accept().await.map(|(stream, client)| tcp::accepted(stream, client))
            }
            Listener::Unix(listener, path) => {
                listener.accept().await.map(|(stream, _)| (Io::Unix(stream), unix::peer(path)))
            }
        }
    }
}
