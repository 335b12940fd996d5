//! What the engine wrote and the transport has not taken: small pieces gathered, large ones in the
//! buffers that they came in.
//!
//! The engine shows its pieces as slices. Those of large buffers are found again by their place in
//! memory, among the buffers that it was lent: so a body of 64 KiB is not copied once more, which
//! was a fifth of what the core thread did for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::carrier::Ends;

/// Most bytes that are held before they are handed on. A frame has 16 KiB as a rule: one by one they
/// cost a system call each, and over TLS a second record for nine bytes.
pub const GATHER: usize = 128 * 1024;

/// Pieces below this size are gathered: to find them again costs more.
const LARGE: usize = 2048;

/// Most parts that one system call takes.
const MOST_PARTS: usize = 64;

/// Lent buffers that are kept without a look whether the engine still has them.
const FEW: usize = 128;

thread_local! {
    /// The buffer for small pieces; a connection owns one only while it holds something.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

enum Part {
    /// The next so many bytes of [`Held::small`].
    Small(usize),
    Large(Bytes),
}

/// Pieces in order.
#[derive(Default)]
pub struct Held {
    parts: VecDeque<Part>,
    small: Vec<u8>,
    /// How many of the small bytes have left.
    gone: usize,
    len: usize,
    /// By their addresses, with how often each was lent.
    lent: BTreeMap<usize, (Bytes, usize)>,
    look_at: usize,
}

impl Held {
    /// Bytes that wait here.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The engine is given this buffer, slices of which come back.
    pub fn lend(&mut self, bytes: &Bytes) {
        if bytes.len() < LARGE {
            return;
        }
        if self.lent.len() > self.look_at.max(FEW) {
            // Streams that were reset never wrote theirs.
            self.lent.retain(|_, (bytes, _)| !bytes.is_unique());
            self.look_at = self.lent.len() * 2;
        }
        let entry = self.lent.entry(bytes.as_ptr() as usize).or_insert_with(|| (Bytes::new(), 0));
        if bytes.len() > entry.0.len() {
            entry.0 = bytes.clone();
        }
        entry.1 += 1;
    }

    /// The engine has none of them any more.
    pub fn forget(&mut self) {
        self.lent.clear();
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        self.len += piece.len();
        if let Some(bytes) = self.find(piece) {
            return self.parts.push_back(Part::Large(bytes));
        }
        if self.small.capacity() == 0 {
            self.small = SPARE.take();
        }
        self.small.extend_from_slice(piece);
        match self.parts.back_mut() {
            Some(Part::Small(len)) => *len += piece.len(),
            _ => self.parts.push_back(Part::Small(piece.len())),
        }
    }

    /// The lent buffer that a piece is a part of.
    fn find(&mut self, piece: &[u8]) -> Option<Bytes> {
        if piece.len() < LARGE {
            return None;
        }
        let from = piece.as_ptr() as usize;
        let to = from + piece.len();
        let (start, (bytes, times)) = self.lent.range_mut(..=from).next_back()?;
        let end = start + bytes.len();
        if to > end {
            return None;
        }
        let found = bytes.slice_ref(piece);
        if to == end {
            *times -= 1;
            if *times == 0 {
                let start = *start;
                self.lent.remove(&start);
            }
        }
        Some(found)
    }

    /// Hands on what is here.
    pub fn flush(&mut self, io: &mut Ends, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.len > 0 {
            match ready!(self.write(io, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.advance(n),
            }
        }
        self.clear();
        Poll::Ready(Ok(()))
    }

    /// Drops what is here.
    pub fn clear(&mut self) {
        self.parts.clear();
        (self.len, self.gone) = (0, 0);
        if self.small.capacity() > 0 {
            let mut small = std::mem::take(&mut self.small);
            small.clear();
            SPARE.set(small);
        }
    }

    fn write(&self, io: &mut Ends, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices: [IoSlice<'_>; MOST_PARTS] = std::array::from_fn(|_| IoSlice::new(&[]));
        let mut small = &self.small[self.gone..];
        for (slot, part) in slices.iter_mut().zip(&self.parts) {
            *slot = IoSlice::new(match part {
                Part::Large(bytes) => bytes,
                Part::Small(len) => {
                    let (piece, rest) = small.split_at(*len);
                    small = rest;
                    piece
                }
            });
        }
        io.poll_write(cx, &slices[..self.parts.len().min(MOST_PARTS)])
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while written > 0 {
            let Some(part) = self.parts.front_mut() else { return };
            let (n, is_through) = match part {
                Part::Small(len) => {
                    let n = written.min(*len);
                    *len -= n;
                    self.gone += n;
                    (n, *len == 0)
                }
                Part::Large(bytes) => {
                    let n = written.min(bytes.len());
                    bytes.advance(n);
                    (n, bytes.is_empty())
                }
            };
            written -= n;
            if is_through {
                self.parts.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(held: &Held) -> Vec<u8> {
        let mut small = &held.small[held.gone..];
        let mut all = Vec::new();
        for part in &held.parts {
            match part {
                Part::Large(bytes) => all.extend_from_slice(bytes),
                Part::Small(len) => {
                    all.extend_from_slice(&small[..*len]);
                    small = &small[*len..];
                }
            }
        }
        assert_eq!(all.len(), held.len());
        all
    }

    fn large(held: &Held) -> usize {
        held.parts.iter().filter(|part| matches!(part, Part::Large(_))).count()
    }

    #[test]
    fn lent_buffers_are_found_and_let_go() {
        let mut held = Held::default();
        let body: Bytes = (0..10_000u32).map(|n| n as u8).collect();
        held.lend(&body);
        held.push(b"head");
        held.push(&body[100..5000]);
        held.push(b"other");
        held.push(&[7; 3000]);
        assert_eq!(held.lent.len(), 1, "its end was not seen");
        held.push(&body[5000..]);
        let all = [b"head", &body[100..5000], b"other", &[7; 3000], &body[5000..]].concat();
        assert_eq!(text(&held), all);
        assert_eq!((large(&held), held.lent.len()), (2, 0));
        for step in [1, 3, 2000, 5000, 1] {
            let before = text(&held);
            held.advance(step);
            assert_eq!(text(&held), before[step..]);
        }
        held.clear();
        assert_eq!((text(&held).len(), held.small.capacity()), (0, 0));
    }

    #[test]
    fn a_buffer_that_several_streams_share_is_found_for_each() {
        let mut held = Held::default();
        let body = Bytes::from(vec![1; 4096]);
        for _ in 0..3 {
            held.lend(&body.clone());
        }
        for _ in 0..3 {
            held.push(&body);
        }
        assert_eq!((large(&held), held.lent.len(), held.len()), (3, 0, 3 * 4096));
        held.push(&body);
        assert_eq!(text(&held).len(), 4 * 4096, "what is not known is copied");
        assert_eq!(large(&held), 3);
    }

    #[test]
    fn buffers_of_streams_that_were_reset_are_let_go() {
        let mut held = Held::default();
        let kept = Bytes::from(vec![1; 4096]);
        held.lend(&kept);
        for _ in 0..1000 {
            held.lend(&Bytes::from(vec![2; 4096]));
        }
        assert!(held.lent.len() <= FEW + 2, "{}", held.lent.len());
        held.push(&kept);
        assert_eq!(large(&held), 1);
        held.forget();
        assert!(held.lent.is_empty());
    }
}
