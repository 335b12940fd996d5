//! The transport as the protocol's engine reads and writes it: early bytes first, each frame seen.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::transport::Io;
use crate::wire::h2::watch::{Fault, Watch};

/// A kind of frames that there is none of: the engine ignores it.
const NO_KIND: u8 = 0xff;

/// Bytes that are gathered before they are handed on. A frame has 16 KiB as a rule: one by one they
/// cost a system call each, and over TLS a second record for nine bytes.
const GATHER: usize = 64 * 1024;

/// How much the engine reads before the streams get to take theirs: of the smallest frames it keeps
/// 256 bytes for each.
pub const ROUND: usize = 64 * 1024;

/// Where bytes come from and go to.
pub enum Ends {
    /// A transport.
    Io(Io),
    /// Memory: what was written and not yet fetched. What is to be read is put into
    /// [`Line::early`].
    Memory(Vec<u8>),
}

/// Most bytes that memory holds before somebody fetches them.
const MOST_IN_MEMORY: usize = 256 * 1024;

impl Ends {
    /// Reads into `buf`; `Ok(0)` is the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Ends::Io(io) => io.poll_read(cx, buf),
            Ends::Memory(_) => Poll::Pending,
        }
    }

    /// Takes some of these bytes.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Ends::Io(io) => io.poll_write(cx, parts),
            Ends::Memory(written) if written.len() >= MOST_IN_MEMORY => Poll::Pending,
            Ends::Memory(written) => {
                let before = written.len();
                parts.iter().for_each(|part| written.extend_from_slice(part));
                Poll::Ready(Ok(written.len() - before))
            }
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Ends::Io(io) => io.poll_finish(cx, true),
            Ends::Memory(_) => Poll::Ready(Ok(())),
        }
    }
}

/// What the engine and its connection share; only one thread touches it.
pub struct Line {
    /// The transport, or what stands for it.
    pub io: Ends,
    /// What was read of it before, and what the engine must not see yet.
    pub early: BytesMut,
    /// How many of these bytes the watch has seen.
    seen: usize,
    /// What the engine wrote and the transport has not taken: frames leave together.
    held: BytesMut,
    /// Why no more can be written.
    broken: Option<io::Error>,
    /// How much was read in this round.
    round: usize,
    /// Who sees each frame.
    pub watch: Watch,
    /// What the client did that ends the connection: it is not read any more.
    pub fault: Option<Fault>,
    /// The stream that must be reset before more is read, and why.
    pub late: Option<(u32, Fault)>,
    /// When something was read last.
    pub last_input: Instant,
    /// The peer ended its sending.
    pub has_ended: bool,
}

/// A handle on the line.
#[derive(Clone)]
pub struct Carrier(Arc<Mutex<Line>>);

impl Carrier {
    /// Over a transport, or none.
    pub fn new(io: Ends, early: BytesMut, watch: Watch) -> Carrier {
        Carrier(Arc::new(Mutex::new(Line {
            io,
            early,
            seen: 0,
            held: BytesMut::new(),
            broken: None,
            round: 0,
            watch,
            fault: None,
            late: None,
            last_input: Instant::now(),
            has_ended: false,
        })))
    }

    /// Hands on what the engine wrote. The engine learns of an error when it goes on.
    pub fn hand_on(&self, cx: &mut Context<'_>) {
        let mut line = self.line();
        if let Poll::Ready(Err(error)) = line.flush(cx) {
            line.held.clear();
            line.broken = Some(error);
            cx.waker().wake_by_ref();
        }
    }

    /// The line itself.
    pub fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The streams have taken theirs.
    pub fn begin_round(&mut self) {
        self.round = 0;
    }

    /// They are to take it before more is read.
    pub fn is_round_full(&self) -> bool {
        self.round >= ROUND
    }

    /// Shows bytes to the watch, all but `seen` of which are new to it; how many of them the engine
    /// may see.
    fn admit(&mut self, bytes: &mut [u8], seen: usize) -> usize {
        self.last_input = Instant::now();
        let new = &mut bytes[seen..];
        let outcome = self.watch.came(new, self.last_input.into_std());
        for at in self.watch.hidden() {
            new[*at] = NO_KIND;
        }
        let Err(stop) = outcome else { return bytes.len() };
        match stop.stream {
            None => self.fault = Some(stop.fault),
            Some(id) => {
                self.late = Some((id, stop.fault));
                let mut kept = BytesMut::from(&new[stop.good..]);
                kept.extend_from_slice(&self.early);
                (self.early, self.seen) = (kept, stop.seen - stop.good);
            }
        }
        seen + stop.good
    }

    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.fault.is_some() || self.late.is_some() || self.is_round_full() {
            return Poll::Pending;
        }
        if let Some(error) = self.broken.take() {
            self.has_ended = true;
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        let mut seen = 0;
        if self.early.is_empty() {
            let read = std::task::ready!(self.io.poll_read(cx, buf.initialize_unfilled()));
            let read = read.inspect_err(|_| self.has_ended = true)?;
            self.has_ended |= read == 0;
            buf.advance(read);
        } else {
            let n = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..n]);
            self.early.advance(n);
            if self.early.is_empty() {
                self.early = BytesMut::new();
            }
            seen = self.seen.min(n);
            self.seen -= seen;
        }
        let came = buf.filled().len() - before;
        self.round += came;
        if came == 0 {
            return Poll::Ready(Ok(()));
        }
        let good = self.admit(&mut buf.filled_mut()[before..], seen);
        buf.set_filled(before + good);
        // No bytes at all would tell the engine of an end that did not come.
        if good == 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        if self.held.len() >= GATHER {
            std::task::ready!(self.flush(cx))?;
        }
        let (mut taken, now) = (0, Instant::now().into_std());
        for part in parts {
            let part = &part[..part.len().min(GATHER - self.held.len())];
            self.held.extend_from_slice(part);
            if let Err(fault) = self.watch.left(part, now) {
                self.fault.get_or_insert(fault);
            }
            taken += part.len();
        }
        Poll::Ready(Ok(taken))
    }

    /// Hands on what the engine wrote.
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = self.io.poll_write(cx, &[IoSlice::new(&self.held)]);
            match std::task::ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.held.advance(n),
            }
        }
        // An idle connection owns none.
        self.held = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Carrier {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line().read(cx, buf)
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line().write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.line().write(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The engine does so behind each frame; the connection, when the engine has nothing more.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.line();
        std::task::ready!(line.flush(cx))?;
        line.io.poll_finish(cx)
    }
}
