//! Pieces of input that wait.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces below this size are joined with what waits already, as long as that is below
/// [`JOINED`]: a client that sends bytes one by one must not cost a hundred times as many.
const SMALL: usize = 512;
const JOINED: usize = 16 * 1024;

/// A queue of pieces, none of them empty but for a last one.
#[derive(Default)]
pub struct Pieces {
    queue: VecDeque<Bytes>,
}

impl Pieces {
    /// Adds a piece.
    pub fn push(&mut self, piece: Bytes) {
        match self.queue.back_mut() {
            Some(last) if piece.len() < SMALL && last.len() < JOINED => join(last, &piece),
            _ => self.queue.push_back(piece),
        }
    }

    /// Takes the first one.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.queue.pop_front()
    }

    /// The first one.
    pub fn first(&mut self) -> Option<&mut Bytes> {
        self.queue.front_mut()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.queue.len()
    }
}

fn join(last: &mut Bytes, piece: &[u8]) {
    let mut joined = std::mem::take(last).try_into_mut().unwrap_or_else(|last| {
        let mut own = BytesMut::with_capacity(2 * last.len().max(SMALL));
        own.extend_from_slice(&last);
        own
    });
    joined.extend_from_slice(piece);
    *last = joined.freeze();
}
