//! What comes in: bytes, heads, the ends of both.

use std::io;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use tokio::time::Instant;

use super::{Connection, Phase, READ_AHEAD};
use crate::connection::body::Reader;
use crate::connection::exchange::Exchange;
use crate::connection::{marks, with_date, with_scratch};
use crate::error::Reason;
use crate::scope::Scope;
use crate::stream::{Opening, Stream};
use crate::wire::h1::request::{self, Scan};
use crate::wire::h1::{response, upgrade};
use crate::wire::{Body, Method, Refusal, RequestHead};

impl Connection {
    pub(super) fn may_read(&self) -> bool {
        match &self.exchange {
            None => true,
            Some(exchange) => self.input.len() < READ_AHEAD && exchange.wants_input(),
        }
    }

    pub(super) fn read(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        if self.phase != Phase::Serving {
            return false;
        }
        if self.ended_input {
            return self.read_rest();
        }
        if !self.may_read() {
            return self.feed();
        }
        let mut is_first = true;
        let polled = with_scratch(|scratch| {
            let polled = self.io.poll_read(cx, scratch);
            if let Poll::Ready(Ok(n)) = polled {
                is_first = self.input.is_empty();
                // What a tunnel takes at once needs no buffer of the connection's.
                let taken = match &mut self.exchange {
                    Some(exchange) if is_first => exchange.tunnel(&scratch[..n]),
                    _ => 0,
                };
                self.input.extend_from_slice(&scratch[taken..n]);
            }
            polled
        });
        match polled {
            Poll::Pending => return self.feed(),
            Poll::Ready(Ok(0)) => self.end_of_input(Reason::ClientClosed),
            Poll::Ready(Ok(_)) => self.took_input(is_first),
            Poll::Ready(Err(error)) => self.read_failed(&error),
        }
        true
    }

    pub(super) fn took_input(&mut self, is_first: bool) {
        let now = Instant::now();
        match &mut self.exchange {
            Some(exchange) => exchange.moved = now,
            None if is_first => self.head_since = now,
            None => {}
        }
        self.last_input = now;
        self.feed();
    }

    pub(super) fn feed(&mut self) -> bool {
        match &mut self.exchange {
            Some(exchange) if exchange.takes_input() => {
                let moved = exchange.feed(&mut self.input);
                if exchange.is_tunnel() && self.input.is_empty() {
                    self.input = BytesMut::new();
                }
                moved
            }
            _ => false,
        }
    }

    /// A tunnel may have been too full for what came before the end.
    fn read_rest(&mut self) -> bool {
        let moved = self.feed();
        if let (true, Some(exchange)) = (self.input.is_empty(), &self.exchange) {
            if exchange.is_parting() {
                exchange.stream.gone(Reason::ClientClosed);
            }
        }
        moved
    }

    /// What came before the end is still served; only then is a running request told.
    pub(super) fn end_of_input(&mut self, reason: Reason) {
        self.feed();
        self.ended_input = true;
        match &self.exchange {
            Some(exchange) if exchange.is_parting() && !self.input.is_empty() => {}
            Some(exchange) if !exchange.is_over() => {
                let unread = match exchange.is_undecided() && !self.input.is_empty() {
                    true => Some(self.input.len()),
                    false => exchange.unread(),
                };
                self.unread_end = unread.filter(|_| reason == Reason::ClientClosed);
                if self.unread_end.is_none() {
                    exchange.stream.gone(reason);
                }
            }
            _ => {}
        }
    }

    /// The application gets to read a body that was complete before the end, while it goes on
    /// reading; and to accept a client whose messages were, while it thinks about that.
    pub(super) fn look_at_unread_end(&mut self) {
        let (Some(before), Some(exchange)) = (self.unread_end.take(), &self.exchange) else {
            return;
        };
        if exchange.is_undecided() {
            self.unread_end = Some(before);
        }
        if exchange.is_undecided() || exchange.is_parting() {
            return;
        }
        self.unread_end = exchange.unread().filter(|left| *left < before);
        if self.unread_end.is_none() && !exchange.is_over() {
            exchange.stream.gone(Reason::ClientClosed);
        }
    }

    pub(super) fn read_failed(&mut self, error: &io::Error) {
        let reset = matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
        );
        self.give_up(if reset { Reason::ClientClosed } else { Reason::ReadError });
    }

    /// Looks for the next head.
    pub(super) fn parse(&mut self) -> bool {
        if self.exchange.is_some() || self.phase != Phase::Serving {
            return false;
        }
        self.skip_blank();
        let found = if self.input.is_empty() || self.input[..] == b"\r"[..] {
            Ok(None)
        } else {
            self.scan.find(&self.input, &self.limits)
        };
        match found {
            Ok(None) if self.ended_input => self.begin_closing(false),
            Ok(None) if self.is_last_call_over() => self.begin_closing(false),
            Ok(None) => return false,
            Ok(Some(len)) => self.head(len),
            Err(refusal) => self.refuse(None, refusal),
        }
        true
    }

    /// One empty line before a request is tolerated (RFC 9112 2.2).
    pub(super) fn skip_blank(&mut self) {
        if !self.skipped_blank && self.input.starts_with(b"\r\n") {
            self.input.advance(2);
            self.skipped_blank = true;
        }
    }

    pub(super) fn head(&mut self, len: usize) {
        let parsed = request::parse(&self.input[..len], &self.scan, &self.limits);
        self.input.advance(len);
        self.scan = Scan::default();
        self.skipped_blank = false;
        let request = match parsed {
            Ok(request) => request,
            Err(refusal) => return self.refuse(None, refusal),
        };
        let too_long = match (request.body, self.config.max_body_size) {
            (Body::Length(length), Some(limit)) => length > limit,
            _ => false,
        };
        if too_long {
            return self.refuse(Some(&request), Refusal::PayloadTooLarge);
        }
        let checked = if request.asks_for_tunnel() { upgrade::check(&request) } else { Ok(()) };
        let may_fullflush = self.context.may_fullflush();
        let detect = |()| Scope::detect(&request, &self.config, may_fullflush);
        match checked.and_then(detect) {
            Ok(scope) => self.open(request, scope),
            Err(refusal) => self.refuse(Some(&request), refusal),
        }
    }

    pub(super) fn open(&mut self, request: RequestHead, scope: Scope) {
        let body = Reader::new(request.body, self.config.max_body_size);
        let opening = Opening {
            request,
            peer: self.peer.clone(),
            links: self.context.links.clone(),
            marks: marks(&self.config),
            spare: std::mem::take(&mut self.spare),
            id: 0,
        };
        self.permit.control.set_busy(true);
        let stream = Stream::open(opening, scope);
        self.exchange = Some(Exchange::new(stream, body, self.last_input));
        self.feed();
        if self.ended_input {
            self.end_of_input(Reason::ClientClosed);
        }
    }

    pub(super) fn refuse(&mut self, head: Option<&RequestHead>, refusal: Refusal) {
        let is_head = head.is_some_and(|h| h.method_kind() == Method::Head);
        with_date(|date| {
            self.queue.append(|out| response::refusal(out, refusal, !is_head, date));
        });
        self.io.hold();
        self.context.observer.refused(&self.peer, head, refusal);
        self.begin_closing(!self.ended_input);
    }
}
