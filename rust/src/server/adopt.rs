//! Connections that somebody else accepted.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::BytesMut;
use socket2::{Domain, SockRef, Type};

use super::Server;
use crate::connection::{Accepted, Context, Permit, serve};
use crate::stream::{Arrival, Notice};
use crate::transport::{Io, Peer, tcp, tls, unix};

/// A connected stream socket that is handed over.
pub struct Adopted<'a> {
    /// The socket; from now on nobody else reads or writes it.
    pub socket: OwnedFd,
    /// The socket whose addresses the scope tells, where the first one only relays it.
    pub outer: BorrowedFd<'a>,
    /// The path of the Unix socket that it was accepted on; none for anything else.
    pub path: Option<&'a str>,
    /// What was read of it already.
    pub early: &'a [u8],
    /// What is known of the TLS that somebody else speaks on it; none where it is in the clear.
    pub tls: Option<tls::Facts>,
}

/// A socket of either kind, not yet known to the runtime.
enum Socket {
    Inet(TcpStream),
    Unix(UnixStream),
}

impl Server {
    /// Serves a connection that somebody else accepted; [`Notice::Stopped`] tells of its end.
    pub fn adopt(&self, adopted: Adopted<'_>) -> io::Result<()> {
        let mut peer = match adopted.path {
            Some(path) => unix::peer(path),
            None => tcp::peer_of(&adopted.outer),
        };
        peer.tls = adopted.tls.map(Arc::new);
        let socket = ready(adopted.socket)?;
        let limit = self.context.config().max_connections;
        let full = |there| io::Error::other(format!("at capacity ({there}/{limit})"));
        let permit = self.context.registry.admit(limit).map_err(full)?;
        let early = BytesMut::from(adopted.early);
        self.runtime.spawn(run(self.context.clone(), socket, peer, early, permit));
        Ok(())
    }
}

fn ready(fd: OwnedFd) -> io::Result<Socket> {
    let is_stream = SockRef::from(&fd).r#type()? == Type::STREAM;
    let domain = domain(fd.as_fd())?;
    let is_inet = domain == Domain::IPV4 || domain == Domain::IPV6;
    if !is_stream || !(is_inet || domain == Domain::UNIX) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a stream socket"));
    }
    SockRef::from(&fd).set_nonblocking(true)?;
    if !is_inet {
        return Ok(Socket::Unix(fd.into()));
    }
    // As for accepted ones: small responses must not wait for an ACK.
    let _ = SockRef::from(&fd).set_tcp_nodelay(true);
    Ok(Socket::Inet(fd.into()))
}

fn domain(fd: BorrowedFd<'_>) -> io::Result<Domain> {
    Ok(SockRef::from(&fd).local_addr()?.domain())
}

async fn run(context: Arc<Context>, socket: Socket, peer: Peer, early: BytesMut, permit: Permit) {
    let io = match socket {
        Socket::Inet(tcp) => tokio::net::TcpStream::from_std(tcp).map(Io::Tcp),
        Socket::Unix(unix) => tokio::net::UnixStream::from_std(unix).map(Io::Unix),
    };
    match io {
        Ok(io) => serve(context.clone(), Accepted { io, peer, early }, permit).await,
        Err(error) => super::accept::log_failure(&context, &error),
    }
    context.links.up.send(Arrival::Server(Notice::Stopped));
}
