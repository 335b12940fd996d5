//! The request body on its way to the application: bounded, in the pieces that came.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::Received;
use crate::event::http::HttpReceive;

/// Unread body bytes at which the connection stops reading.
pub const BOUND: usize = 64 * 1024;

/// Where the body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// More may come.
    Open,
    /// All of it is in the queue.
    Complete,
    /// The application has had its last event.
    Delivered,
}

/// The queue.
pub struct Inbox {
    pieces: VecDeque<Bytes>,
    unread: usize,
    tail: Tail,
    waiting: Option<Instant>,
    touched: bool,
}

impl Inbox {
    /// An inbox for a request with or without a body.
    pub fn new(has_body: bool) -> Inbox {
        Inbox {
            pieces: VecDeque::new(),
            unread: 0,
            tail: if has_body { Tail::Open } else { Tail::Complete },
            waiting: None,
            touched: false,
        }
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: Bytes) {
        self.unread += piece.len();
        self.pieces.push_back(piece);
    }

    /// All pieces are there.
    pub fn end(&mut self) {
        if self.tail == Tail::Open {
            self.tail = Tail::Complete;
        }
    }

    /// More may be read from the transport.
    pub fn has_room(&self) -> bool {
        self.unread < BOUND
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

    /// The next event, and whether room was made for more. `over` is true once the request is
    /// answered or its client gone.
    pub fn receive(&mut self, over: bool) -> (Received, bool) {
        let first_touch = !std::mem::replace(&mut self.touched, true);
        if over {
            return (Received::Event(HttpReceive::Disconnect), false);
        }
        let had_room = self.has_room();
        let event = match self.pieces.pop_front() {
            Some(body) => {
                self.unread -= body.len();
                let last = self.tail == Tail::Complete && self.pieces.is_empty();
                self.request(body, last)
            }
            None if self.tail == Tail::Complete => self.request(Bytes::new(), true),
            None => {
                self.waiting.get_or_insert_with(Instant::now);
                Received::Pending
            }
        };
        let room = (!had_room && self.has_room()) || (first_touch && self.tail == Tail::Open);
        (event, room)
    }

    fn request(&mut self, body: Bytes, last: bool) -> Received {
        if last {
            self.tail = Tail::Delivered;
        }
        Received::Event(HttpReceive::Request { body, more: !last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &'static str, more: bool) -> Received {
        Received::Event(HttpReceive::Request { body: body.into(), more })
    }

    #[test]
    fn pieces_come_as_they_were_fed_and_the_last_says_so() {
        let mut inbox = Inbox::new(true);
        assert_eq!(inbox.receive(false).0, Received::Pending);
        inbox.push("ab".into());
        assert!(inbox.waiting().is_some());
        assert!(inbox.stop_waiting().is_some());
        assert_eq!(inbox.waiting(), None);
        assert_eq!(inbox.receive(false).0, request("ab", true));
        inbox.push("c".into());
        inbox.end();
        assert_eq!(inbox.receive(false).0, request("c", false));
        assert_eq!(inbox.receive(false).0, Received::Pending);
        assert_eq!(inbox.receive(true).0, Received::Event(HttpReceive::Disconnect));
    }

    #[test]
    fn an_end_that_comes_late_is_an_empty_last_event() {
        let mut inbox = Inbox::new(true);
        inbox.push("ab".into());
        assert_eq!(inbox.receive(false).0, request("ab", true));
        inbox.end();
        assert_eq!(inbox.receive(false).0, request("", false));
    }

    #[test]
    fn reading_stops_at_the_bound_and_goes_on_below_it() {
        let mut inbox = Inbox::new(true);
        inbox.push(vec![0; BOUND].into());
        assert!(!inbox.has_room());
        assert!(inbox.receive(false).1, "room was made");
    }
}
