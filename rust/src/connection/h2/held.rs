//! What the engine wrote and the transport has not taken: frames leave together.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::transport::Io;

/// Bytes that are gathered before they are handed on. A frame has 16 KiB as a rule: one by one they
/// cost a system call each, and over TLS a second record for nine bytes. A body of 64 KiB leaves
/// with its head.
pub const GATHER: usize = 128 * 1024;

thread_local! {
    /// One buffer for all connections of the thread, as a rule: one of its own, made anew each time,
    /// cost 4 % of the CPU that a response of 64 KiB takes.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes in order. Where there are none, there is no buffer either.
#[derive(Default)]
pub struct Held {
    bytes: Vec<u8>,
    /// How many of them have left.
    gone: usize,
}

impl Held {
    /// How many more of them may be gathered.
    pub fn room(&self) -> usize {
        GATHER.saturating_sub(self.bytes.len())
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Hands on what is here.
    pub fn flush(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.bytes.len() {
            let written = io.poll_write(cx, &[IoSlice::new(&self.bytes[self.gone..])]);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.gone += n,
            }
        }
        self.clear();
        Poll::Ready(Ok(()))
    }

    /// Drops what is here.
    pub fn clear(&mut self) {
        self.gone = 0;
        if self.bytes.capacity() > 0 {
            self.bytes.clear();
            SPARE.set(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_goes_from_hand_to_hand() {
        let (mut one, mut other) = (Held::default(), Held::default());
        one.push(&[1; 1000]);
        assert_eq!(one.room(), GATHER - 1000);
        let buffer = one.bytes.as_ptr();
        one.clear();
        assert_eq!((one.bytes.capacity(), one.room()), (0, GATHER));
        other.push(b"x");
        assert_eq!(other.bytes.as_ptr(), buffer);
        one.push(b"y");
        assert_eq!((&one.bytes[..], &other.bytes[..]), (&b"y"[..], &b"x"[..]));
    }
}
