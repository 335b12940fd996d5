//! What a scope works on: what waits for the application, what waits for the connection, and what
//! is to be said to the operator.

use std::sync::Arc;
use std::time::Duration;

use super::inbox::Inbox;
use super::memo::Memo;
use super::outbox::Outbox;
use crate::error::{Reason, SendError};
use crate::event::Receive;
use crate::scope::{Effects, Note, Piece, Queue, Range, Source, Timer};
use crate::wire::fields::Fields;
use crate::wire::{Refusal, ResponseHead};

/// The desk of one stream.
pub struct Desk {
    /// Toward the application.
    pub inbox: Inbox,
    /// Toward the client.
    pub outbox: Outbox,
    /// What the server's streams sent of late.
    pub memo: Arc<Memo>,
    /// Toward the operator.
    pub notes: Vec<Note>,
    /// The application sent something since the connection last looked.
    pub is_active: bool,
    /// Output that its client has not taken yet is at the high mark.
    pub is_choked: bool,
    /// The scope learnt of that and waits for its end.
    pub waits_for_drain: bool,
    /// The scope waits for all output to leave.
    pub waits_for_sent: bool,
}

impl Desk {
    /// A desk with these trays.
    pub fn new(inbox: Inbox, outbox: Outbox, memo: Arc<Memo>) -> Desk {
        Desk {
            inbox,
            outbox,
            memo,
            notes: Vec::new(),
            is_active: false,
            is_choked: false,
            waits_for_drain: false,
            waits_for_sent: false,
        }
    }

    /// Whether a `$receive` that waits has something to look at; it is told once.
    pub fn has_news(&mut self, is_complete: bool) -> bool {
        (is_complete || self.inbox.queue().events > 0) && self.inbox.stop_waiting().is_some()
    }
}

impl Effects for Desk {
    fn head(&mut self, head: ResponseHead) {
        self.outbox.head(head);
    }

    fn tunnel(&mut self, head: ResponseHead) {
        self.outbox.tunnel(head);
    }

    fn data(&mut self, bytes: &[u8]) {
        self.outbox.data(bytes);
    }

    fn share(&mut self, piece: &dyn Piece) {
        self.outbox.block(self.memo.give(piece));
    }

    fn file(&mut self, source: Source<'_>, range: Range) -> Result<u64, SendError> {
        self.outbox.file(source, range)
    }

    fn flush(&mut self) {
        self.outbox.flush();
    }

    fn trailers(&mut self, fields: Fields) {
        self.outbox.trailers(fields);
    }

    fn end(&mut self) {
        self.outbox.end();
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.outbox.refuse(refusal);
    }

    fn abort(&mut self, reason: Reason) {
        self.outbox.abort(reason);
    }

    fn arm(&mut self, timer: Timer, after: Option<Duration>) {
        self.outbox.arm(timer, after);
    }

    fn deliver(&mut self, event: Receive) {
        self.inbox.deliver(event);
    }

    fn queue(&self) -> Queue {
        self.inbox.queue()
    }

    fn is_choked(&mut self) -> bool {
        self.waits_for_drain |= self.is_choked;
        self.is_choked
    }

    fn await_sent(&mut self) {
        self.waits_for_sent = true;
    }

    fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}
