//! The application's side of a stream: what the Perl thread receives and sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{CORK, Inner, News, Received, Stream};
use crate::error::{Reason, SendError};
use crate::event::Value;
use crate::event::scope::Type;
use crate::scope::{Ended, Sent, Tally};
use crate::wire::Version;

impl Stream {
    /// The next event for the application, and whether the core must be woken: it may read on.
    pub fn receive(self: &Arc<Self>) -> (Received, bool) {
        let (received, room, holds) = {
            let mut inner = self.inner();
            let Inner { scope, desk, settled, .. } = &mut *inner;
            let grammar = scope.grammar();
            let over = *settled || grammar.is_complete();
            let (received, room) = desk.inbox.receive(grammar, over);
            let holds = received == Received::Pending && grammar.is_holding();
            (received, room, holds)
        };
        if holds {
            self.act(|scope, desk| scope.grammar_mut().let_go(desk));
        }
        if room || holds {
            self.post();
        }
        (received, room || holds)
    }

    /// Takes an event of the application. Output is queued for [`Stream::post`].
    pub fn send(
        self: &Arc<Self>,
        row: Option<usize>,
        given: &str,
        values: &[Value<'_>],
    ) -> Result<Sent, SendError> {
        self.act(|scope, desk| {
            desk.is_active = true;
            desk.outbox.inline_file = self.marks.inline_file;
            scope.send(row, given, values, desk)
        })
    }

    /// Whether whatever is sent is not looked at any more.
    pub fn is_silent(&self) -> bool {
        self.inner().scope.grammar().is_shut()
    }

    /// Whether it is one of the requests that `max_requests` counts: what a connection of HTTP/1
    /// was given up for is not.
    pub fn is_counted(&self) -> bool {
        self.kind == Type::Http
            || !matches!(self.request.version, Version::Http10 | Version::Http11)
    }

    /// Nobody waits for an event any more, though none came.
    pub fn stop_waiting(&self) {
        self.inner().desk.inbox.stop_waiting();
    }

    /// Whether so much output is corked that the core should start on it.
    pub fn is_corked_full(&self) -> bool {
        self.buffered() >= CORK
    }

    /// Queues the stream for its connection if there is anything new for it.
    pub fn post(self: &Arc<Self>) {
        if !self.posted.swap(true, Ordering::AcqRel) {
            self.links.down.post(self.clone());
        }
    }

    /// The application's call ended, well or by an exception.
    pub fn returned(self: &Arc<Self>, ok: bool) -> Ended {
        let ended = self.act(|scope, desk| scope.grammar_mut().returned(ok, desk));
        self.inner().settled = true;
        self.post();
        ended
    }

    /// Takes the news bits.
    pub fn take_news(&self) -> u8 {
        self.news.swap(0, Ordering::AcqRel)
    }

    /// The Perl thread learns that the connection ended: sends are silent from here on.
    pub fn take_gone(self: &Arc<Self>) -> Option<Reason> {
        let reason = {
            let mut inner = self.inner();
            let grammar = inner.scope.grammar();
            let reason = match grammar.own_end() {
                _ if inner.settled => None,
                // What was answered in full is complete, whatever becomes of its connection.
                None if grammar.is_complete() => None,
                own => own.or(inner.gone),
            };
            if let Some(reason) = reason {
                inner.scope.grammar_mut().gone(reason);
                inner.settled = true;
            }
            reason
        };
        self.post();
        reason
    }

    /// Why a file on its way could not be read; told once.
    pub fn take_fault(&self) -> Option<Box<str>> {
        self.inner().fault.take()
    }

    /// Bytes sent and not yet handed to the transport.
    pub fn buffered(&self) -> usize {
        self.buffered.load(Ordering::Acquire)
    }

    /// Asks for [`News::DRAINED`] once the output is below the low mark, or lost; never told at
    /// once, but as news, even where that is now.
    pub fn arm_drain(self: &Arc<Self>) {
        self.wants_drain.store(true, Ordering::SeqCst);
        std::sync::atomic::fence(Ordering::SeqCst);
        let now = self.buffered() < self.marks.low.max(1) || self.lost.load(Ordering::SeqCst);
        if now && self.wants_drain.swap(false, Ordering::AcqRel) {
            self.tell(News::DRAINED);
        }
    }

    /// As [`Stream::arm_drain`], but of a loss nothing is told: that is no drain.
    pub fn watch_drain(self: &Arc<Self>) {
        if !self.lost.load(Ordering::SeqCst) {
            self.arm_drain();
        }
    }

    /// True for the first caller: each request has one line in the access log.
    pub fn claim_log(&self) -> Option<Tally> {
        let mut inner = self.inner();
        let first = !std::mem::replace(&mut inner.logged, true);
        let grammar = inner.scope.grammar();
        let reason = match grammar.own_end() {
            None if grammar.is_complete() => None,
            own => own.or(inner.gone),
        };
        first.then(|| Tally { reason, ..grammar.tally() })
    }

    /// How long the request has been running.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// The Perl side's own word for this stream; only its thread reads or writes it.
    pub fn token(&self) -> &AtomicUsize {
        &self.token
    }

    /// Wakes the core for all that was posted.
    pub fn wake_core(&self) {
        self.links.down.wake();
    }
}
