//! How requests, and the connection, come to their end.

use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::{Connection, Phase};
use crate::connection::exchange::Exchange;
use crate::connection::with_scratch;
use crate::error::Reason;
use crate::stream::{Arrival, Level, Notice};
use crate::wire::Refusal;

/// How long, and how much, is read after the last response so that the peer gets to see it: a
/// close with unread input resets the connection (RFC 9112 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// How often to look for a peer that left while its unread body fills the inbox.
const LOOK: Duration = Duration::from_millis(500);

/// A head must be complete within this many idle timeouts (slowloris holds no slot for longer).
const HEAD_PATIENCE: u32 = 2;

impl Connection {
    /// Ends an exchange that is through.
    pub(super) fn settle(&mut self) -> bool {
        let Some(exchange) = &self.exchange else { return false };
        if self.phase != Phase::Serving || !self.queue.is_empty() {
            return false;
        }
        if exchange.is_over() && exchange.may_follow() {
            let nothing_follows = self.ended_input && self.input.is_empty();
            match (exchange.body.is_done(), exchange.is_settled()) {
                (true, true) => {
                    self.end_exchange();
                    return true;
                }
                // One call at a time: the next request waits until this one has returned.
                (true, false) if !nothing_follows => return false,
                (false, _) if exchange.body.is_open() && !self.ended_input => return false,
                _ => {}
            }
        } else if !exchange.is_over() && !exchange.is_settled() {
            return false;
        }
        let unread = !exchange.body.is_done() || !self.input.is_empty();
        self.phase = Phase::Closing { linger: unread && !self.ended_input };
        true
    }

    pub(super) fn end_exchange(&mut self) {
        self.exchange = None;
        self.permit.control.set_busy(false);
        self.last_input = Instant::now();
        self.head_since = self.last_input;
    }

    /// The transport is of no more use.
    pub(super) fn give_up(&mut self, reason: Reason) {
        if let Some(exchange) = self.exchange.take() {
            exchange.stream.gone(reason);
        }
        self.phase = Phase::Over;
    }

    /// Waits for the last bytes to leave, then ends the sending direction.
    pub(super) fn close(&mut self, cx: &mut std::task::Context<'_>, linger: bool) -> bool {
        if self.phase == Phase::Over || !self.queue.is_empty() {
            return false;
        }
        let is_whole = self.exchange.as_ref().is_none_or(Exchange::is_whole);
        if self.io.poll_finish(cx, is_whole).is_pending() {
            return false;
        }
        self.exchange = None;
        self.phase = match linger {
            true => Phase::Lingering { until: Instant::now() + LINGER, budget: LINGER_BYTES },
            false => Phase::Over,
        };
        true
    }

    pub(super) fn linger(
        &mut self,
        cx: &mut std::task::Context<'_>,
        until: Instant,
        budget: usize,
    ) -> bool {
        match with_scratch(|scratch| self.io.poll_read(cx, scratch)) {
            Poll::Pending => return false,
            Poll::Ready(Ok(n)) if n > 0 && n < budget => {
                self.phase = Phase::Lingering { until, budget: budget - n };
            }
            Poll::Ready(_) => self.phase = Phase::Over,
        }
        true
    }

    /// When to wake up although nothing moved.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        let is_blind = self.phase == Phase::Serving && self.is_running() && !self.may_read();
        self.look_at = match (is_blind, self.look_at) {
            (true, None) => Some(Instant::now() + LOOK),
            (true, at) => at,
            (false, _) => None,
        };
        [self.patience(), self.look_at].into_iter().flatten().min()
    }

    fn is_running(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| !exchange.is_over())
    }

    /// When to stop waiting, by what is being waited for.
    fn patience(&self) -> Option<Instant> {
        let idle = self.config.timeout.map(|limit| self.last_input + limit);
        match (&self.phase, &self.exchange) {
            (Phase::Lingering { until, .. }, _) => Some(*until),
            (Phase::Serving, None) if self.input.is_empty() => idle,
            (Phase::Serving, None) => idle.min(self.head_deadline()),
            (_, Some(exchange)) if exchange.is_over() => {
                self.config.timeout.map(|limit| exchange.moved + limit)
            }
            (_, Some(exchange)) => self.config.request_timeout.map(|limit| exchange.moved + limit),
            (_, None) => Some(self.last_input + self.config.timeout.unwrap_or(LINGER)),
        }
    }

    /// Bytes that trickle in postpone the idle timeout, but not this.
    fn head_deadline(&self) -> Option<Instant> {
        self.config.timeout.map(|limit| self.head_since + limit * HEAD_PATIENCE)
    }

    /// A deadline passed: silence ends silently, a head that never ends is told so.
    pub(super) fn expire(&mut self, cx: &mut std::task::Context<'_>) {
        let now = Instant::now();
        if self.look_at.is_some_and(|at| now >= at) {
            self.look_at = None;
            if !self.ended_input && self.io.is_closed(cx) {
                self.end_of_input(Reason::ClientClosed);
            }
        }
        if self.patience().is_none_or(|deadline| now < deadline) {
            return;
        }
        let trickles = self.phase == Phase::Serving
            && self.exchange.is_none()
            && !self.input.is_empty()
            && self.head_deadline().is_some_and(|deadline| Instant::now() >= deadline);
        if trickles {
            return self.refuse(None, Refusal::RequestTimeout);
        }
        if let (true, Some(limit)) = (self.is_running(), self.config.request_timeout) {
            let seconds = limit.as_secs_f64();
            let text = format!("Request stall timeout ({seconds}s) - closing connection");
            self.context.links.up.send(Arrival::Server(Notice::Log(Level::Warn, text)));
        }
        if self.exchange.is_none() {
            // Nothing broke off: a transport that can say so does, if it can at once.
            let _ = self.io.poll_finish(cx, true);
        }
        self.give_up(Reason::ClientTimeout);
    }
}
