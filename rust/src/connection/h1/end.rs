//! How requests, and the connection, come to their end.

use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::{Connection, Phase};
use crate::connection::exchange::Exchange;
use crate::connection::with_scratch;
use crate::connection::write::KEEP;
use crate::error::Reason;

/// How long, and how much, is read after the last response so that the peer gets to see it: a
/// close with unread input resets the connection (RFC 9112 9.6). A proxy that has stored the whole
/// request reads nothing until it is written, so the amount only bounds the work.
pub(super) const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

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
        } else if !exchange.is_over() {
            let is_parting = exchange.is_parting() && !self.ended_input;
            if is_parting || !exchange.is_settled() {
                return false;
            }
        }
        // A peer that ends a tunnel, or sent what nobody wanted, may have more on its way.
        let talks = exchange.is_tunnel() || exchange.has_dropped();
        let unread = !exchange.body.is_done() || !self.input.is_empty() || talks;
        self.begin_closing(unread && !self.ended_input);
        true
    }

    /// Nothing is served any more; what is queued still leaves.
    pub(super) fn begin_closing(&mut self, linger: bool) {
        self.write_since = Instant::now();
        self.phase = Phase::Closing { linger };
    }

    pub(super) fn end_exchange(&mut self) {
        self.exchange = None;
        self.unread_end = None;
        self.permit.control.set_busy(false);
        self.last_input = Instant::now();
        self.head_since = self.last_input;
        self.shed();
    }

    /// Most connections are idle most of the time: between requests they hold no large buffers.
    fn shed(&mut self) {
        if self.input.is_empty() && self.input.try_reclaim(KEEP) {
            self.input = BytesMut::new();
        }
        self.spare.shed(KEEP);
        self.queue.shed();
    }

    /// The transport is of no more use.
    pub(super) fn give_up(&mut self, reason: Reason) {
        if let Some(exchange) = self.exchange.take() {
            exchange.stream.lost(reason);
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
}
