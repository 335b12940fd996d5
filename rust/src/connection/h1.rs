//! HTTP/1.0 and HTTP/1.1: one request after the other on one transport.
//!
//! ```text
//! Serving --(refusal, last response, drain)--> Closing --flushed--> Lingering --> gone
//!    |  head complete: an Exchange runs; response and body complete: the next head
//!    +--(idle timeout, end of input, transport failure)--> gone
//! ```

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::time::Instant;

use super::body::Reader;
use super::exchange::Exchange;
use super::timer::Timer;
use super::write::Queue;
use super::{Context, Permit, with_scratch};
use crate::config::{Config, MAX_REQUEST_LINE};
use crate::error::Reason;
use crate::scope::Scope;
use crate::stream::{Arrival, Level, Marks, Notice, Opening, Outbox, Stream};
use crate::transport::{Io, Peer};
use crate::wire::h1::request::{self, Limits, Scan};
use crate::wire::h1::response;
use crate::wire::{Body, Refusal, RequestHead};

/// Bytes of following requests that are read ahead while one is running.
const READ_AHEAD: usize = 16 * 1024;

/// How long, and how much, is read after the last response so that the peer gets to see it: a
/// close with unread input resets the connection (RFC 9112 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Closing { linger: bool },
    Lingering { until: Instant, budget: usize },
    Over,
}

/// One HTTP/1 connection; as a future it ends with the connection.
pub struct Connection {
    context: Arc<Context>,
    config: Arc<Config>,
    limits: Limits,
    io: Io,
    peer: Arc<Peer>,
    permit: Permit,
    input: BytesMut,
    scan: Scan,
    skipped_blank: bool,
    queue: Queue,
    spare: Outbox,
    exchange: Option<Exchange>,
    phase: Phase,
    ended_input: bool,
    last_input: Instant,
    timer: Timer,
}

impl Connection {
    /// A connection over `io`.
    pub fn new(context: Arc<Context>, io: Io, peer: Peer, permit: Permit) -> Connection {
        let config = context.config();
        Connection {
            limits: Limits {
                request_line: MAX_REQUEST_LINE,
                head: config.max_header_size,
                fields: config.max_header_count,
            },
            context,
            config,
            io,
            peer: Arc::new(peer),
            permit,
            input: BytesMut::new(),
            scan: Scan::default(),
            skipped_blank: false,
            queue: Queue::default(),
            spare: Outbox::default(),
            exchange: None,
            phase: Phase::Serving,
            ended_input: false,
            last_input: Instant::now(),
            timer: Timer::default(),
        }
    }

    /// One round over everything that can move; true if anything did.
    fn turn(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        if self.phase != Phase::Over && self.permit.control.is_aborted() {
            self.give_up(Reason::ServerShutdown);
            return true;
        }
        match self.phase {
            Phase::Serving => {
                // Every part gets its turn, whatever the others did.
                self.collect(cx) | self.flush(cx) | self.settle() | self.read(cx) | self.parse()
            }
            Phase::Closing { linger } => self.flush(cx) | self.close(cx, linger),
            Phase::Lingering { until, budget } => self.linger(cx, until, budget),
            Phase::Over => false,
        }
    }

    fn collect(&mut self, cx: &std::task::Context<'_>) -> bool {
        // After the end of input only what was received before it can follow.
        let more_input = !self.ended_input || !self.input.is_empty();
        let may_persist = more_input && !self.permit.control.is_draining();
        let Some(exchange) = &mut self.exchange else { return false };
        let moved = exchange.collect(cx, &mut self.spare, &mut self.queue, may_persist);
        if moved {
            exchange.moved = Instant::now();
        }
        moved
    }

    fn flush(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        let (written, outcome) = self.queue.poll_flush(&mut self.io, cx);
        if written > 0
            && let Some(exchange) = &mut self.exchange
        {
            exchange.wrote(self.queue.len());
            exchange.moved = Instant::now();
        }
        if let Poll::Ready(Err(_)) = outcome {
            self.give_up(Reason::WriteError);
            return true;
        }
        written > 0
    }

    /// Ends an exchange that is through.
    fn settle(&mut self) -> bool {
        let Some(exchange) = &self.exchange else { return false };
        if self.phase != Phase::Serving || !self.queue.is_empty() {
            return false;
        }
        if exchange.is_over() && exchange.may_follow() {
            if exchange.body.is_done() {
                self.end_exchange();
                return true;
            }
            if exchange.body.is_open() && !self.ended_input {
                return false;
            }
        } else if !exchange.is_over() && !exchange.is_settled() {
            return false;
        }
        let unread = !exchange.body.is_done() || !self.input.is_empty();
        self.phase = Phase::Closing { linger: unread && !self.ended_input };
        true
    }

    fn end_exchange(&mut self) {
        self.exchange = None;
        self.permit.control.set_busy(false);
        self.last_input = Instant::now();
    }

    fn may_read(&self) -> bool {
        match &self.exchange {
            None => true,
            Some(exchange) if exchange.body.is_open() => {
                exchange.wants_body() && self.input.len() < READ_AHEAD
            }
            Some(_) => self.input.len() < READ_AHEAD,
        }
    }

    fn read(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        if self.phase != Phase::Serving || self.ended_input {
            return false;
        }
        if !self.may_read() {
            return self.feed();
        }
        let polled = with_scratch(|scratch| {
            let polled = self.io.poll_read(cx, scratch);
            if let Poll::Ready(Ok(n)) = polled {
                self.input.extend_from_slice(&scratch[..n]);
            }
            polled
        });
        match polled {
            Poll::Pending => return self.feed(),
            Poll::Ready(Ok(0)) => self.end_of_input(Reason::ClientClosed),
            Poll::Ready(Ok(_)) => self.took_input(),
            Poll::Ready(Err(error)) => self.read_failed(&error),
        }
        true
    }

    fn took_input(&mut self) {
        self.last_input = Instant::now();
        if let Some(exchange) = &mut self.exchange {
            exchange.moved = self.last_input;
        }
        self.feed();
    }

    fn feed(&mut self) -> bool {
        match &mut self.exchange {
            Some(exchange) if exchange.body.is_open() => exchange.feed(&mut self.input),
            _ => false,
        }
    }

    /// What came before the end is still served; only then is a running request told.
    fn end_of_input(&mut self, reason: Reason) {
        self.feed();
        self.ended_input = true;
        if let Some(exchange) = &self.exchange
            && !exchange.is_over()
        {
            exchange.stream.gone(reason);
        }
    }

    fn read_failed(&mut self, error: &io::Error) {
        let reset = matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
        );
        self.give_up(if reset { Reason::ClientClosed } else { Reason::ReadError });
    }

    /// The transport is of no more use.
    fn give_up(&mut self, reason: Reason) {
        if let Some(exchange) = self.exchange.take() {
            exchange.stream.gone(reason);
        }
        self.phase = Phase::Over;
    }

    /// Looks for the next head.
    fn parse(&mut self) -> bool {
        if self.exchange.is_some() || self.phase != Phase::Serving {
            return false;
        }
        if self.permit.control.is_draining() {
            self.phase = Phase::Closing { linger: false };
            return true;
        }
        self.skip_blank();
        let found = if self.input.is_empty() || self.input[..] == b"\r"[..] {
            Ok(None)
        } else {
            self.scan.find(&self.input, &self.limits)
        };
        match found {
            Ok(None) if self.ended_input => self.phase = Phase::Over,
            Ok(None) => return false,
            Ok(Some(len)) => self.head(len),
            Err(refusal) => self.refuse(None, refusal),
        }
        true
    }

    /// One empty line before a request is tolerated (RFC 9112 2.2).
    fn skip_blank(&mut self) {
        if !self.skipped_blank && self.input.starts_with(b"\r\n") {
            self.input.advance(2);
            self.skipped_blank = true;
        }
    }

    fn head(&mut self, len: usize) {
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
        match Scope::detect(&request, self.context.may_fullflush) {
            Ok(scope) => self.open(request, scope),
            Err(refusal) => self.refuse(Some(&request), refusal),
        }
    }

    fn open(&mut self, request: RequestHead, scope: Scope) {
        let body = Reader::new(request.body, self.config.max_body_size);
        let opening = Opening {
            request,
            peer: self.peer.clone(),
            links: self.context.links.clone(),
            marks: Marks {
                high: self.config.write_high_watermark,
                low: self.config.write_low_watermark,
            },
            spare: std::mem::take(&mut self.spare),
        };
        self.permit.control.set_busy(true);
        let stream = Stream::open(opening, scope);
        self.exchange = Some(Exchange::new(stream, body, self.last_input));
        self.feed();
        if self.ended_input {
            self.end_of_input(Reason::ClientClosed);
        }
    }

    fn refuse(&mut self, head: Option<&RequestHead>, refusal: Refusal) {
        let is_head = head.is_some_and(|h| h.method_kind() == crate::wire::Method::Head);
        super::with_date(|date| {
            self.queue.append(|out| response::refusal(out, refusal, !is_head, date));
        });
        self.context.observer.refused(&self.peer, head, refusal);
        self.phase = Phase::Closing { linger: !self.ended_input };
    }

    /// Waits for the last bytes to leave, then ends the sending direction.
    fn close(&mut self, cx: &mut std::task::Context<'_>, linger: bool) -> bool {
        if self.phase == Phase::Over || !self.queue.is_empty() {
            return false;
        }
        self.exchange = None;
        if self.io.poll_finish(cx).is_pending() {
            return false;
        }
        self.phase = match linger {
            true => Phase::Lingering { until: Instant::now() + LINGER, budget: LINGER_BYTES },
            false => Phase::Over,
        };
        true
    }

    fn linger(&mut self, cx: &mut std::task::Context<'_>, until: Instant, budget: usize) -> bool {
        match with_scratch(|scratch| self.io.poll_read(cx, scratch)) {
            Poll::Pending => return false,
            Poll::Ready(Ok(n)) if n > 0 && n < budget => {
                self.phase = Phase::Lingering { until, budget: budget - n };
            }
            Poll::Ready(_) => self.phase = Phase::Over,
        }
        true
    }

    /// When to stop waiting, by what is being waited for.
    fn deadline(&self) -> Option<Instant> {
        let idle = self.config.timeout.map(|limit| self.last_input + limit);
        match (&self.phase, &self.exchange) {
            (Phase::Lingering { until, .. }, _) => Some(*until),
            (Phase::Serving, None) => idle,
            (_, Some(exchange)) if exchange.is_over() => {
                self.config.timeout.map(|limit| exchange.moved + limit)
            }
            (_, Some(exchange)) => {
                self.config.request_timeout.map(|limit| exchange.moved + limit)
            }
            (_, None) => Some(self.last_input + self.config.timeout.unwrap_or(LINGER)),
        }
    }

    fn expire(&mut self) {
        let stalled = self.exchange.as_ref().is_some_and(|exchange| !exchange.is_over());
        if stalled && let Some(limit) = self.config.request_timeout {
            let seconds = limit.as_secs_f64();
            let text = format!("Request stall timeout ({seconds}s) - closing connection");
            self.context.links.up.send(Arrival::Server(Notice::Log(Level::Warn, text)));
        }
        self.give_up(Reason::ClientTimeout);
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.permit.control.listen(cx.waker());
        loop {
            while this.turn(cx) {}
            if this.phase == Phase::Over {
                return Poll::Ready(());
            }
            let deadline = this.deadline();
            if !this.timer.is_due(cx, deadline) {
                return Poll::Pending;
            }
            this.expire();
        }
    }
}

impl Drop for Connection {
    /// A task that ends out of turn, by a panic or with its runtime, must not leave its
    /// application waiting.
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.stream.gone(Reason::ServerError);
        }
    }
}
