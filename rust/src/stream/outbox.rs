//! The response on its way to the connection: effects in order, small pieces in one buffer.

use crate::error::Reason;
use crate::scope::Effects;
use crate::wire::fields::Fields;
use crate::wire::{Refusal, ResponseHead};

/// Pieces at or above this size keep a buffer of their own, which the transport writes from.
const LARGE: usize = 16 * 1024;

/// One effect, in the order in which the scope asked for it.
pub enum Mark {
    /// The response starts.
    Head(Box<ResponseHead>),
    /// The next `n` bytes of [`Outbox::bytes`] are a piece of the body.
    Data(usize),
    /// A large piece of the body.
    Block(Vec<u8>),
    /// The body ends with trailer fields.
    Trailers(Fields),
    /// The response ends.
    End,
    /// The server answers itself.
    Refuse(Refusal),
    /// The response breaks off.
    Abort(Reason),
}

/// Effects waiting for their connection.
#[derive(Default)]
pub struct Outbox {
    /// The effects.
    pub marks: Vec<Mark>,
    /// The bytes of all [`Mark::Data`], in order.
    pub bytes: Vec<u8>,
    payload: usize,
    flushable: bool,
}

impl Outbox {
    /// Something may leave: a head alone is held back.
    pub fn is_flushable(&self) -> bool {
        self.flushable && !self.marks.is_empty()
    }

    /// Body bytes in here.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// Empties it, keeping its small buffers.
    pub fn clear(&mut self) {
        self.marks.clear();
        self.bytes.clear();
        self.bytes.shrink_to(LARGE);
        self.payload = 0;
        self.flushable = false;
    }
}

impl Effects for Outbox {
    fn head(&mut self, head: ResponseHead) {
        self.marks.push(Mark::Head(Box::new(head)));
    }

    fn data(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.payload += bytes.len();
        if bytes.len() >= LARGE {
            self.marks.push(Mark::Block(bytes.to_vec()));
        } else {
            self.bytes.extend_from_slice(bytes);
            self.marks.push(Mark::Data(bytes.len()));
        }
    }

    fn flush(&mut self) {
        self.flushable = true;
    }

    fn trailers(&mut self, fields: Fields) {
        self.marks.push(Mark::Trailers(fields));
    }

    fn end(&mut self) {
        self.marks.push(Mark::End);
        self.flushable = true;
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.marks.push(Mark::Refuse(refusal));
        self.flushable = true;
    }

    fn abort(&mut self, reason: Reason) {
        self.marks.push(Mark::Abort(reason));
        self.flushable = true;
    }
}
