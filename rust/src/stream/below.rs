//! The connection's side of a stream: what the core thread feeds and takes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Instant;

use bytes::Bytes;

use super::outbox::unreadable;
use super::{Arrival, Level, News, Notice, Outbox, Stream, Taken};
use crate::error::Reason;
use crate::scope::Timer;
use crate::wire::Refusal;

impl Stream {
    /// Adds a piece of the request body; the application must see the last one as the last. Tells
    /// since when it was waited for.
    pub fn feed(self: &Arc<Self>, piece: Bytes, is_last: bool) -> Option<Instant> {
        let waiting = {
            let mut inner = self.inner();
            let inbox = &mut inner.desk.inbox;
            inbox.push(piece);
            if is_last {
                inbox.end();
            }
            inbox.stop_waiting()
        };
        if waiting.is_some() {
            self.tell(News::READABLE);
        }
        waiting
    }

    /// The request body is complete.
    pub fn end(self: &Arc<Self>) {
        let waiting = {
            let mut inner = self.inner();
            inner.desk.inbox.end();
            inner.desk.inbox.stop_waiting()
        };
        if waiting.is_some() {
            self.tell(News::READABLE);
        }
    }

    /// Whether the application has taken enough for more to be read.
    pub fn has_room(&self) -> bool {
        let inner = self.inner();
        inner.scope.grammar().has_room(inner.desk.inbox.queue())
    }

    /// Bytes of the body that an application which reads it has not got; none once it has all.
    pub fn unread(&self) -> Option<usize> {
        self.inner().desk.inbox.unread()
    }

    /// The connection grants its client so much as the application takes: it is told of each
    /// `step` bytes.
    pub fn give_credit(&self, step: usize) {
        self.inner().desk.inbox.give_credit(step);
    }

    /// Bytes of the body that the application took since the last call.
    pub fn take_credit(&self) -> usize {
        self.inner().desk.inbox.take_credit()
    }

    /// Takes raw data after a tunnel opened; tells how much of it, the rest must come again.
    pub fn input(self: &Arc<Self>, input: &[u8]) -> usize {
        self.act(|scope, desk| scope.grammar_mut().feed(input, desk))
    }

    /// Whether what ended the stream ends its connection, too.
    pub fn ends_connection(&self) -> bool {
        self.inner().scope.grammar().ends_connection()
    }

    /// A timer that the scope armed is due.
    pub fn tick(self: &Arc<Self>, timer: Timer) {
        self.act(|scope, desk| scope.grammar_mut().tick(timer, desk));
    }

    /// The server is shutting down.
    pub fn stop(self: &Arc<Self>) {
        self.act(|scope, desk| scope.grammar_mut().stop(desk));
    }

    /// The connection ended. The first reason counts.
    pub fn gone(self: &Arc<Self>, reason: Reason) {
        let first = {
            let mut inner = self.inner();
            let first = inner.gone.is_none() && !inner.settled;
            inner.gone.get_or_insert(reason);
            first
        };
        if first {
            self.tell(News::GONE);
        }
    }

    /// As [`Stream::gone`], and nothing of the output will leave any more: a `$send` that waits for
    /// it to drain must not wait for ever, even where its response is complete.
    pub fn lost(self: &Arc<Self>, reason: Reason) {
        self.lost.store(true, Ordering::SeqCst);
        self.gone(reason);
        if self.wants_drain.swap(false, Ordering::SeqCst) {
            self.tell(News::DRAINED);
        }
    }

    /// A file on its way cannot be read: what was taken for a response is none. An application that
    /// has returned is told nothing any more, so the operator is.
    pub fn broke(self: &Arc<Self>, error: &io::Error) {
        let text = unreadable(error);
        let mut inner = self.inner();
        if inner.settled {
            drop(inner);
            self.links.up.send(Arrival::Server(Notice::Log(Level::Error, text)));
        } else {
            inner.scope.grammar_mut().broke();
            inner.fault = Some(text.into());
            drop(inner);
        }
        self.lost(Reason::ServerError);
    }

    /// The request turned out to be unacceptable: the server answers, if the application has not.
    pub fn refuse(self: &Arc<Self>, refusal: Refusal) {
        if self.act(|scope, desk| scope.grammar_mut().refuse(refusal, desk)) {
            self.tell(News::ANSWERED);
        }
        self.gone(refusal.reason());
    }

    /// Bytes counted by [`Stream::buffered`] were handed to the transport.
    pub fn wrote(self: &Arc<Self>, bytes: usize) {
        let before = self.buffered.fetch_sub(bytes, Ordering::AcqRel);
        if before.saturating_sub(bytes) >= self.marks.low.max(1) {
            return;
        }
        // More may have been sent since the count was taken.
        if self.wants_drain.swap(false, Ordering::AcqRel) {
            self.arm_drain();
        }
        if self.owes_drain.swap(false, Ordering::AcqRel) {
            self.act(|scope, desk| scope.grammar_mut().drained(desk));
            self.rouse();
        }
        if before <= bytes && self.owes_sent.swap(false, Ordering::AcqRel) {
            self.act(|scope, desk| scope.grammar_mut().sent(desk));
            self.rouse();
        }
    }

    /// Swaps what is to be written into `spare`, or leaves the waker behind.
    pub fn take(&self, cx: &Context<'_>, spare: &mut Outbox) -> Taken {
        let mut inner = self.inner();
        let output = inner.desk.outbox.is_flushable();
        if output {
            std::mem::swap(&mut inner.desk.outbox, spare);
        } else if !inner.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        Taken {
            output,
            settled: inner.settled,
            reading: inner.desk.inbox.is_touched(),
            waiting: inner.desk.inbox.waiting(),
            active: std::mem::take(&mut inner.desk.is_active),
        }
    }

    /// Since when a `$receive` has been waiting, if one is.
    pub fn waiting(&self) -> Option<Instant> {
        self.inner().desk.inbox.waiting()
    }

    /// Whether the application sent anything since the last look, even if nothing came of it.
    pub fn was_active(&self) -> bool {
        std::mem::take(&mut self.inner().desk.is_active)
    }

    /// Wakes the connection; called by the task that empties the down link.
    pub fn wake(&self) {
        self.posted.store(false, Ordering::Release);
        self.rouse();
    }

    /// Has the connection look again, at the latest after what it is doing just now.
    fn rouse(&self) {
        let waker = self.inner().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
