//! HTTP/1.0 and HTTP/1.1: one request after the other on one transport.
//!
//! ```text
//! Serving --(refusal, last response, drain)--> Closing --flushed--> Lingering --> gone
//!    |  head complete: an Exchange runs; response and body complete: the next head
//!    +--(idle timeout, end of input, transport failure)--> gone
//! ```

mod end;
mod input;
mod wait;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use tokio::time::Instant;

use super::exchange::Exchange;
use super::timer::Timer;
use super::write::{Fault, Queue};
use super::{Accepted, Context, Permit};
use crate::config::Config;
use crate::error::Reason;
use crate::stream::Outbox;
use crate::transport::{Io, Peer};
use crate::wire::h1::request::{Limits, Scan};

/// Bytes of following requests that are read ahead while one is running.
const READ_AHEAD: usize = 16 * 1024;

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
    /// The input has ended, and so much of its body is still unread.
    unread_end: Option<usize>,
    last_input: Instant,
    head_since: Instant,
    /// Since when the transport has not taken any of the output.
    write_since: Instant,
    /// When to look after what makes no noise; see [`wait`].
    look_at: Option<Instant>,
    timer: Timer,
}

impl Connection {
    /// A connection over an accepted transport.
    pub fn new(context: Arc<Context>, accepted: Accepted, permit: Permit) -> Connection {
        let Accepted { io, peer, early } = accepted;
        let config = context.config();
        Connection {
            limits: Limits {
                request_line: config.max_request_line_size,
                head: config.max_header_size,
                fields: config.max_header_count,
            },
            context,
            config,
            io,
            peer: Arc::new(peer),
            permit,
            input: early,
            scan: Scan::default(),
            skipped_blank: false,
            queue: Queue::default(),
            spare: Outbox::default(),
            exchange: None,
            phase: Phase::Serving,
            ended_input: false,
            unread_end: None,
            last_input: Instant::now(),
            head_since: Instant::now(),
            write_since: Instant::now(),
            look_at: None,
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
        let is_draining = self.permit.control.is_draining();
        let Some(exchange) = &mut self.exchange else { return false };
        if is_draining {
            exchange.stop();
        }
        let may_persist = more_input && !is_draining;
        let was_idle = self.queue.is_empty();
        let moved = exchange.collect(cx, &mut self.spare, &mut self.queue, may_persist);
        if moved {
            exchange.moved = Instant::now();
            if was_idle {
                self.write_since = exchange.moved;
            }
            if exchange.is_refused() {
                self.io.hold();
            }
        }
        moved
    }

    fn flush(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        let (written, outcome) = self.queue.poll_flush(&mut self.io, cx);
        if let (true, Some(exchange)) = (written > 0, &mut self.exchange) {
            exchange.wrote(self.queue.len());
            exchange.moved = Instant::now();
            self.write_since = exchange.moved;
        }
        let Poll::Ready(Err(fault)) = outcome else { return written > 0 };
        if let (Fault::File(error), Some(exchange)) = (fault, &self.exchange) {
            exchange.stream.broke(&error);
        }
        self.give_up(Reason::WriteError);
        true
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
            this.expire(cx);
        }
    }
}

impl Drop for Connection {
    /// A task that ends out of turn, by a panic or with its runtime, must not leave its
    /// application waiting.
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.stream.lost(Reason::ServerError);
        }
    }
}
