//! What a connection has yet to write.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::transport::Io;

/// Most parts that one system call takes.
const MOST_PARTS: usize = 16;

/// Buffers kept for the next response.
const KEEP: usize = 4096;

/// Bytes in order: small ones gathered, large ones in the buffers they came in.
#[derive(Default)]
pub struct Queue {
    parts: VecDeque<Part>,
    front: usize,
    len: usize,
    spare: Vec<u8>,
}

struct Part {
    bytes: Vec<u8>,
    is_large: bool,
}

impl Queue {
    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing is left to write.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds what `fill` appends.
    pub fn append(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        if self.parts.back().is_none_or(|part| part.is_large) {
            let bytes = std::mem::take(&mut self.spare);
            self.parts.push_back(Part { bytes, is_large: false });
        }
        if let Some(part) = self.parts.back_mut() {
            let before = part.bytes.len();
            fill(&mut part.bytes);
            self.len += part.bytes.len() - before;
        }
    }

    /// Adds a large buffer as it is.
    pub fn push(&mut self, bytes: Vec<u8>) {
        self.len += bytes.len();
        self.parts.push_back(Part { bytes, is_large: true });
    }

    /// Writes until all is written or the transport takes no more; tells how much it took.
    pub fn poll_flush(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> (usize, Poll<io::Result<()>>) {
        let before = self.len;
        let outcome = self.flush(io, cx);
        (before - self.len, outcome)
    }

    fn flush(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let mut slices: [IoSlice<'_>; MOST_PARTS] = std::array::from_fn(|_| IoSlice::new(&[]));
            let mut used = 0;
            for (slot, part) in slices.iter_mut().zip(&self.parts) {
                let skip = if used == 0 { self.front } else { 0 };
                *slot = IoSlice::new(&part.bytes[skip..]);
                used += 1;
            }
            match ready!(io.poll_write(cx, &slices[..used]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.advance(n),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        self.len -= written;
        self.front += written;
        while self.parts.front().is_some_and(|part| part.bytes.len() <= self.front) {
            if let Some(mut part) = self.parts.pop_front() {
                self.front -= part.bytes.len();
                if !part.is_large && part.bytes.capacity() <= KEEP {
                    part.bytes.clear();
                    self.spare = part.bytes;
                }
            }
        }
    }
}
