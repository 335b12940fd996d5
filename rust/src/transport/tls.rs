//! TLS over TCP: an `Io` like the others once its handshake is through.
//!
//! Everything here runs on the core thread; what rustls does is pure computation between a read
//! and a write of the socket.

mod cipher;
mod client;
mod der;
mod facts;
mod handshake;
mod load;
mod name;
mod store;

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::FilePart;

pub use facts::Facts;
pub use handshake::accept;
pub use load::Live;
pub use store::{Reload, Settings, Store};

/// Bytes of a file that are read and encrypted at once: four full records, as much as the session
/// takes before it wants to write.
const PIECE: usize = 64 * 1024;

thread_local! {
    static PIECE_BUF: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// A connection whose handshake is through.
pub struct Tls {
    tcp: TcpStream,
    session: ServerConnection,
    /// Bytes that the session has encrypted and the caller still counts as unwritten: they are
    /// written when the socket has taken the last of their records.
    taken: usize,
    is_finished: bool,
}

/// The socket as the session reads and writes it: what would block is remembered by the task.
struct Wire<'a, 'b> {
    tcp: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

fn blocking<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for Wire<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        let polled = Pin::new(&mut *self.tcp).poll_read(self.cx, &mut buf);
        blocking(polled).map(|()| buf.filled().len())
    }
}

impl Write for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.tcp).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match parts {
            [only] => self.write(only),
            _ => blocking(Pin::new(&mut *self.tcp).poll_write_vectored(self.cx, parts)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pending<T>(outcome: io::Result<T>) -> Poll<io::Result<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        outcome => Poll::Ready(outcome),
    }
}

impl Tls {
    fn new(tcp: TcpStream, session: ServerConnection) -> Tls {
        Tls { tcp, session, taken: 0, is_finished: false }
    }

    /// The protocol that both sides agreed on, where any was offered.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// The TCP connection below.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Reads into `buf`; `Ok(0)` is the end of the stream. It also is where the peer ended TCP
    /// without a `close_notify`: requests say themselves where they end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.session.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(0));
                }
                outcome => return Poll::Ready(outcome),
            }
            ready!(self.poll_records(cx))?;
        }
    }

    /// Takes records in, and sends what they ask for: a reply to a key update, an alert.
    fn poll_records(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = Wire { tcp: &mut self.tcp, cx };
        ready!(pending(self.session.read_tls(&mut wire)))?;
        let outcome = self.session.process_new_packets();
        let flushed = self.poll_flush(cx);
        match (outcome, flushed) {
            (Err(error), _) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Writes the session's records until none is left.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            let mut wire = Wire { tcp: &mut self.tcp, cx };
            if ready!(pending(self.session.write_tls(&mut wire)))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what it can of `parts`. They must begin with the same bytes until some are written.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.taken == 0 {
            ready!(self.poll_flush(cx))?;
            self.taken = self.session.writer().write_vectored(parts)?;
        }
        ready!(self.poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.taken)))
    }

    /// Sends what it can of a part of a file, which it moves on; 0 where the file ended early.
    pub fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        part: &mut FilePart<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.taken == 0 {
            ready!(self.poll_flush(cx))?;
            self.taken = PIECE_BUF.with_borrow_mut(|piece| {
                let piece = &mut piece[..part.most.min(PIECE)];
                let read = part.file.read_at(piece, *part.offset)?;
                self.session.writer().write(&piece[..read])
            })?;
        }
        ready!(self.poll_flush(cx))?;
        *part.offset += self.taken as u64;
        Poll::Ready(Ok(std::mem::take(&mut self.taken)))
    }

    /// Ends the sending direction. A `close_notify` says that all was said; where something broke
    /// off, its absence tells the peer.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>, is_whole: bool) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.is_finished, true) && is_whole {
            self.session.send_close_notify();
        }
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
