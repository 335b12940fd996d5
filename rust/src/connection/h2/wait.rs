//! What a connection waits for, how long, and how that ends.
//!
//! ```text
//! wait    while                                       limit                              end
//! Idle    no stream is open                           timeout since the last byte        GOAWAY
//! Head    a frame that comes in pieces, or a header   2 * timeout since it began         GOAWAY
//!         block, is not complete
//! Body    a stream's application waits for its body   timeout without a byte; least rate 408, or reset
//! Stall   a stream is running                         request_timeout without movement   warning, reset
//! Write   a stream's output is queued                 timeout since some of it left      reset
//! Rest    a response is over and its request is not   timeout since then; a second for   reset
//!                                                     a tunnel, or in a shutdown
//! Last    the shutdown waits for nothing but answers, a constant                         GOAWAY
//!         or a client that said GOAWAY for its close
//! ```
//!
//! The rules are those of HTTP/1, for each stream by itself. A deadline may move on without
//! notice: the timer looks again when it fires. While nobody would notice that an application begins
//! to wait for its body, or for a client that has ended before it was accepted, a look is taken from
//! time to time.

use std::time::Duration;

use tokio::time::Instant;

use super::Connection;
use super::lane::Lane;
use crate::config::Config;
use crate::connection::timer::{HEAD_PATIENCE, LOOK, earlier};
use crate::error::Reason;
use crate::stream::{Arrival, Level, Links, Notice};
use crate::wire::Refusal;

/// How long a client may take to answer the last ping of a shutdown, or to close after its GOAWAY,
/// with no stream left; or to end a stream that is over, where that is not to wait.
const LAST: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Body,
    Stall,
    Write,
    Rest,
}

impl Lane {
    /// When to look after it although nothing moved.
    pub fn deadline(&self, config: &Config) -> Option<Instant> {
        let due = self.due(config).map(|(_, at)| at);
        earlier(earlier(self.alarms.next(), due), self.look_at(config))
    }

    /// When to see whether the application waits for its body, or for the end.
    fn look_at(&self, config: &Config) -> Option<Instant> {
        if self.is_undecided() {
            return Some(Instant::now() + LOOK);
        }
        let is_unknown = self.inbound.may_starve() && !self.is_over();
        config.timeout.filter(|_| is_unknown).map(|period| Instant::now() + period)
    }

    fn due(&self, config: &Config) -> Option<(Wait, Instant)> {
        let after = |wait, since: Instant, limit: Option<Duration>| {
            limit.map(|limit| (wait, since + limit))
        };
        let write = match self.is_stuck() {
            true => after(Wait::Write, self.write_since, config.timeout),
            false => None,
        };
        let is_left_over = self.is_over() && !self.is_stuck() && self.inbound.is_open();
        let rest = match (is_left_over, self.inbound.is_tunnel() || self.told_stop) {
            (true, true) => after(Wait::Rest, self.moved, Some(LAST)),
            (true, false) => after(Wait::Rest, self.moved, config.timeout),
            (false, _) => None,
        };
        let stall = match self.is_over() || self.stream.keeps_time {
            true => None,
            false => after(Wait::Stall, self.moved, config.request_timeout),
        };
        let body = config.timeout.filter(|_| !self.is_over());
        let body = body.and_then(|limit| self.inbound.deadline(limit)).map(|at| (Wait::Body, at));
        [write, rest, stall, body].into_iter().flatten().min_by_key(|(_, at)| *at)
    }

    /// Time passed; true if that changed anything.
    pub fn expire(&mut self, now: Instant, config: &Config, links: &Links) -> bool {
        if let Some(timer) = self.alarms.take(now) {
            self.stream.tick(timer);
            return true;
        }
        self.inbound.pace.starved = self.stream.waiting().map(Instant::from_std);
        if self.is_undecided() && self.inbound.pace.starved.is_some() {
            self.stream.gone(Reason::ClientClosed);
            return true;
        }
        let Some((wait, at)) = self.due(config) else { return false };
        if now < at {
            return false;
        }
        match wait {
            Wait::Body => {
                self.inbound.close();
                self.stream.refuse(Refusal::RequestTimeout);
            }
            // A send of which nothing came has woken nobody, and is movement all the same.
            Wait::Stall if self.stream.was_active() => self.moved = now,
            Wait::Stall => {
                let seconds = config.request_timeout.unwrap_or_default().as_secs_f64();
                let id = self.stream.id;
                let text = format!("Request stall timeout ({seconds}s) - resetting stream {id}");
                links.up.send(Arrival::Server(Notice::Log(Level::Warn, text)));
                self.lose(Reason::ClientTimeout, h2::Reason::CANCEL);
            }
            Wait::Write => self.lose(Reason::WriteTimeout, h2::Reason::CANCEL),
            Wait::Rest => self.inbound.close(),
        }
        true
    }
}

impl Connection {
    /// When to wake up although nothing moved. Those of streams are only ever found too early.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        earlier(self.own_deadline(), self.look_at)
    }

    fn own_deadline(&self) -> Option<Instant> {
        if let Some(until) = self.linger_until {
            return Some(until);
        }
        let line = self.carrier.line();
        let head = self.config.timeout.zip(line.watch.partial_since());
        let head = head.map(|(limit, since)| Instant::from_std(since) + limit * HEAD_PATIENCE);
        if self.count > 0 {
            return head;
        }
        let since = line.last_input.max(self.idle_since);
        let idle = self.config.timeout.map(|limit| since + limit);
        let left_since = line.watch.left_since().map(Instant::from_std);
        let parting = earlier(self.parting_since, left_since);
        let last = parting.map(|since| since.max(self.idle_since) + LAST);
        earlier(earlier(idle, head), last)
    }

    /// A deadline passed.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        if self.own_deadline().is_some_and(|at| now >= at) {
            return self.part();
        }
        self.look_at = None;
        let links = &self.context.links;
        for (number, place) in self.lanes.iter_mut().enumerate() {
            let Some(lane) = place else { continue };
            if lane.expire(now, &self.config, links) {
                self.due.push(number);
            } else {
                self.look_at = earlier(self.look_at, lane.deadline(&self.config));
            }
        }
    }
}
