//! Byte carriers: what accepts, reads and writes, whatever the bytes mean.

mod file;
mod listener;
pub mod tcp;
pub mod tls;
pub mod unix;

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use file::FilePart;
pub use listener::{Listener, Socket};

/// A connected transport.
pub enum Io {
    /// TCP.
    Tcp(tokio::net::TcpStream),
    /// A Unix stream socket.
    Unix(tokio::net::UnixStream),
    /// TLS over TCP.
    Tls(Box<tls::Tls>),
}

/// Both ends of a transport, as the scope tells them.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Numeric address and port of the client; none on transports without addresses.
    pub client: Option<(String, u16)>,
    /// Local address and port.
    pub server: (String, Option<u16>),
    /// What the handshake found out; none on transports without TLS.
    pub tls: Option<Arc<tls::Facts>>,
}

impl Peer {
    /// The client as the access log names it.
    pub fn name(&self) -> &str {
        self.client.as_ref().map_or("unix", |(host, _)| host)
    }
}

impl Io {
    /// Reads into `buf`; `Ok(0)` is the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(buf);
        let polled = match self {
            Io::Tcp(tcp) => Pin::new(tcp).poll_read(cx, &mut room),
            Io::Unix(unix) => Pin::new(unix).poll_read(cx, &mut room),
            Io::Tls(tls) => return tls.poll_read(cx, buf),
        };
        polled.map_ok(|()| room.filled().len())
    }

    /// Whether the peer has ended its sending, for when nothing may be read.
    pub fn is_closed(&mut self, cx: &mut Context<'_>) -> bool {
        let readable = tokio::io::Interest::READABLE;
        let polled = match self {
            Io::Tcp(tcp) => std::pin::pin!(tcp.ready(readable)).poll(cx),
            Io::Unix(unix) => std::pin::pin!(unix.ready(readable)).poll(cx),
            Io::Tls(tls) => std::pin::pin!(tls.tcp().ready(readable)).poll(cx),
        };
        match polled {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    /// Whether bytes lie there that nobody has read. The runtime may not have heard of them yet, hence
    /// the question to the system.
    pub fn has_input(&self) -> bool {
        let socket = match self {
            Io::Tcp(tcp) => SockRef::from(tcp),
            Io::Unix(unix) => SockRef::from(unix),
            Io::Tls(tls) => SockRef::from(tls.tcp()),
        };
        socket.peek(&mut [std::mem::MaybeUninit::uninit()]).is_ok_and(|n| n > 0)
    }

    /// Writes what it can of `parts`. They must begin with the same bytes until some are written.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (self, parts) {
            (Io::Tcp(tcp), [only]) => Pin::new(tcp).poll_write(cx, only),
            (Io::Tcp(tcp), _) => Pin::new(tcp).poll_write_vectored(cx, parts),
            (Io::Unix(unix), _) => Pin::new(unix).poll_write_vectored(cx, parts),
            (Io::Tls(tls), _) => tls.poll_write(cx, parts),
        }
    }

    /// Sends what it can of a part of a file, which it moves on; 0 where the file ended early.
    pub fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        part: &mut FilePart<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Io::Tcp(tcp) => file::poll_send(tcp, cx, part),
            Io::Unix(unix) => file::poll_send(unix, cx, part),
            Io::Tls(tls) => tls.poll_send_file(cx, part),
        }
    }

    /// What is written from now on leaves together with the end, as far as it can. The responses
    /// that the server makes itself do not say that the connection ends with them: a proxy that
    /// saw the one without the other would send its next request here, into the close.
    pub fn hold(&self) {
        #[cfg(target_os = "linux")]
        if let Io::Tcp(tcp) = self {
            // Without it the two leave one after the other, as they would elsewhere.
            let _ = SockRef::from(tcp).set_tcp_cork(true);
        }
    }

    /// Ends the sending direction: a forked child that inherited the descriptor must not keep
    /// the peer waiting for the end of the stream. Where what was sent broke off, a transport that
    /// can tell the peer does so.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>, is_whole: bool) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            Io::Tls(tls) => tls.poll_finish(cx, is_whole),
        }
    }
}
