//! What waits for the application: the request body in the pieces that came, and the events that
//! the scope itself delivered.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::{Pieces, Received};
use crate::event::Receive;
use crate::scope::{Grammar, Queue};

/// Where the body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// More may come.
    Open,
    /// All of it is in the queue.
    Complete,
    /// The application has had its last event, or the scope has none for bodies.
    Delivered,
}

/// The queue.
pub struct Inbox {
    pieces: Pieces,
    events: VecDeque<Receive>,
    unread: usize,
    taken: u64,
    tail: Tail,
    waiting: Option<Instant>,
    touched: bool,
    /// Bytes of the body that were taken and not yet credited to the client.
    owed: usize,
    /// So many are worth telling the connection of; none where it gives no credit.
    credit_step: Option<usize>,
}

impl Inbox {
    /// An inbox for a request with or without a body; none where the scope does not tell of it.
    pub fn new(has_body: Option<bool>) -> Inbox {
        Inbox {
            pieces: Pieces::default(),
            events: VecDeque::new(),
            unread: 0,
            taken: 0,
            tail: match has_body {
                Some(true) => Tail::Open,
                Some(false) => Tail::Complete,
                None => Tail::Delivered,
            },
            waiting: None,
            touched: false,
            owed: 0,
            credit_step: None,
        }
    }

    /// From now on the connection wants to know of each so many bytes that are taken.
    pub fn give_credit(&mut self, step: usize) {
        self.credit_step = Some(step);
    }

    /// Bytes of the body that were taken since the last call.
    pub fn take_credit(&mut self) -> usize {
        std::mem::take(&mut self.owed)
    }

    /// Adds a piece of the body; nothing where the scope has no use for it.
    pub fn push(&mut self, piece: Bytes) {
        if self.tail == Tail::Open {
            self.unread += piece.len();
            self.pieces.push(piece);
        } else {
            self.owed += piece.len();
        }
    }

    /// All pieces are there.
    pub fn end(&mut self) {
        if self.tail == Tail::Open {
            self.tail = Tail::Complete;
        }
    }

    /// Adds an event of the scope's own.
    pub fn deliver(&mut self, event: Receive) {
        self.unread += event.weight();
        self.events.push_back(event);
    }

    /// How much waits here.
    pub fn queue(&self) -> Queue {
        Queue {
            events: self.events.len(),
            bytes: self.unread,
            taken: self.taken,
            is_awaited: self.waiting.is_some(),
        }
    }

    /// Bytes of a complete body that the application has begun to read and not got.
    pub fn unread(&self) -> Option<usize> {
        (self.touched && self.tail == Tail::Complete).then_some(self.unread)
    }

    /// The application has asked for the body.
    pub fn is_touched(&self) -> bool {
        self.touched
    }

    /// Since when a `$receive` has been waiting, if one is.
    pub fn waiting(&self) -> Option<Instant> {
        self.waiting
    }

    /// Since when a `$receive` was waiting; it is called once for each.
    pub fn stop_waiting(&mut self) -> Option<Instant> {
        self.waiting.take()
    }

    /// The next event, and whether room was made for more. `over` is true once the scope is
    /// complete or its client gone.
    pub fn receive(&mut self, grammar: &dyn Grammar, over: bool) -> (Received, bool) {
        let first_touch = !std::mem::replace(&mut self.touched, true);
        if over && grammar.ends_unheard() {
            return (Received::Pending, false);
        }
        if over && (self.events.is_empty() || !grammar.is_read_out()) {
            return (Received::Event(grammar.disconnect()), false);
        }
        let had_room = grammar.has_room(self.queue());
        let event = self.next(grammar);
        if event.is_none() {
            self.waiting.get_or_insert_with(Instant::now);
        }
        let is_owed = self.credit_step.is_some_and(|step| self.owed >= step);
        let has_room = is_owed || (!had_room && grammar.has_room(self.queue()));
        let room = has_room || (first_touch && self.tail == Tail::Open);
        (event.map_or(Received::Pending, Received::Event), room)
    }

    fn next(&mut self, grammar: &dyn Grammar) -> Option<Receive> {
        if let Some(event) = self.events.pop_front() {
            self.unread -= event.weight();
            self.taken += 1;
            return Some(event);
        }
        let piece = self.pieces.pop();
        if piece.is_none() && self.tail != Tail::Complete {
            return None;
        }
        let piece = piece.unwrap_or_default();
        self.unread -= piece.len();
        self.owed += piece.len();
        let is_last = self.tail == Tail::Complete && self.pieces.is_empty();
        if is_last {
            self.tail = Tail::Delivered;
        }
        grammar.piece(piece, !is_last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::http::HttpReceive;
    use crate::scope::{BODY_BOUND, Http};
    use crate::wire::Method;

    fn request(body: &'static str, more: bool) -> Received {
        Received::Event(Receive::Http(HttpReceive::Request { body: body.into(), more }))
    }

    fn receive(inbox: &mut Inbox, over: bool) -> (Received, bool) {
        inbox.receive(&Http::new(Method::Other, false), over)
    }

    #[test]
    fn pieces_come_as_they_were_fed_and_the_last_says_so() {
        let mut inbox = Inbox::new(Some(true));
        assert_eq!(receive(&mut inbox, false).0, Received::Pending);
        inbox.push("ab".into());
        assert!(inbox.waiting().is_some());
        assert!(inbox.stop_waiting().is_some());
        assert_eq!(inbox.waiting(), None);
        assert_eq!(receive(&mut inbox, false).0, request("ab", true));
        inbox.push("c".into());
        inbox.end();
        assert_eq!(receive(&mut inbox, false).0, request("c", false));
        assert_eq!(receive(&mut inbox, false).0, Received::Pending);
        let end = Receive::Http(HttpReceive::Disconnect {});
        assert_eq!(receive(&mut inbox, true).0, Received::Event(end));
    }

    #[test]
    fn an_end_that_comes_late_is_an_empty_last_event() {
        let mut inbox = Inbox::new(Some(true));
        inbox.push("ab".into());
        assert_eq!(receive(&mut inbox, false).0, request("ab", true));
        inbox.end();
        assert_eq!(receive(&mut inbox, false).0, request("", false));
    }

    #[test]
    fn the_connection_learns_of_what_was_taken() {
        let mut inbox = Inbox::new(Some(true));
        inbox.give_credit(3);
        inbox.push("ab".into());
        receive(&mut inbox, false);
        inbox.push("c".into());
        assert!(receive(&mut inbox, false).1);
        assert_eq!(inbox.take_credit(), 3);
        assert_eq!(inbox.take_credit(), 0);
        let mut unread = Inbox::new(None);
        unread.push("abc".into());
        assert_eq!(unread.take_credit(), 3, "what nobody wants is credited at once");
    }

    #[test]
    fn small_pieces_are_joined_while_they_wait() {
        let mut inbox = Inbox::new(Some(true));
        let read: Bytes = (0..100_000u32).map(|n| n as u8).collect();
        for at in 0..50_000 {
            inbox.push(read.slice(at..at + 1));
        }
        inbox.push(read.slice(50_000..70_000));
        inbox.push(read.slice(70_000..100_000));
        assert_eq!((inbox.pieces.len(), inbox.unread), (6, 100_000));
        let mut all = Vec::new();
        while let (Received::Event(Receive::Http(HttpReceive::Request { body, .. })), _) =
            receive(&mut inbox, false)
        {
            all.extend_from_slice(&body);
        }
        assert_eq!(all, read);
    }

    #[test]
    fn reading_stops_at_the_bound_and_goes_on_below_it() {
        let mut inbox = Inbox::new(Some(true));
        inbox.push(vec![0; BODY_BOUND].into());
        assert_eq!(inbox.queue().bytes, BODY_BOUND);
        assert!(receive(&mut inbox, false).1, "room was made");
    }
}
