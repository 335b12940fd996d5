//! The waist: one request and its answer, between a connection and a scope.
//!
//! A stream is shared by two threads. The core thread's connection feeds it and takes what it
//! has to write; the Perl thread receives and sends. One short lock guards each transition; it
//! is never held while Perl runs, across an await, or while a waker is called.

mod arrival;
mod inbox;
mod outbox;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bridge::{Inlet, Post};
use crate::error::{Reason, SendError};
use crate::event::Value;
use crate::event::http::HttpReceive;
use crate::scope::{Ended, Scope, Sent, Tally};
use crate::transport::Peer;
use crate::wire::{Refusal, RequestHead};

pub use arrival::{Arrival, Level, News, Notice};
use inbox::Inbox;
pub use outbox::{Mark, Outbox, Part};

/// Appended pieces of one dispatch are corked up to this size; beyond it the core starts writing
/// while the application goes on.
pub const CORK: usize = 32 * 1024;

/// What all streams of a server share.
pub struct Links {
    /// News for the Perl thread.
    pub up: Post<Arrival>,
    /// Streams with something for their connections.
    pub down: Inlet<Arc<Stream>>,
}

/// Write watermarks and the like, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// At or above it a `$send` waits.
    pub high: usize,
    /// Below it a waiting `$send` goes on.
    pub low: usize,
    /// Largest file that is read at once.
    pub inline_file: u64,
}

/// One request and its answer.
pub struct Stream {
    /// The head of the request.
    pub request: RequestHead,
    /// Both ends of its connection.
    pub peer: Arc<Peer>,
    /// When the head was complete.
    pub opened: Instant,
    /// The watermarks in force.
    pub marks: Marks,
    links: Arc<Links>,
    inner: Mutex<Inner>,
    buffered: AtomicUsize,
    wants_drain: AtomicBool,
    lost: AtomicBool,
    news: AtomicU8,
    posted: AtomicBool,
    token: AtomicUsize,
}

struct Inner {
    scope: Scope,
    inbox: Inbox,
    outbox: Outbox,
    /// The end that the connection saw; the Perl thread takes it over in its own time, so that
    /// what it sends before it learns of the end still counts.
    gone: Option<Reason>,
    settled: bool,
    logged: bool,
    waker: Option<Waker>,
}

/// What a connection found when it looked for output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// There is output.
    pub output: bool,
    /// Nothing more will come: the Perl thread knows of the end, or its call is over.
    pub settled: bool,
    /// The application has asked for the body.
    pub reading: bool,
}

/// What `$receive` found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// An event.
    Event(HttpReceive),
    /// Nothing yet; [`News::READABLE`] tells when to look again.
    Pending,
}

/// What to open a stream with.
pub struct Opening {
    /// The head of the request.
    pub request: RequestHead,
    /// Both ends of its connection.
    pub peer: Arc<Peer>,
    /// What all streams share.
    pub links: Arc<Links>,
    /// The watermarks in force.
    pub marks: Marks,
    /// An empty outbox, for its buffers.
    pub spare: Outbox,
}

impl Stream {
    /// Opens a stream and tells the Perl thread.
    pub fn open(opening: Opening, scope: Scope) -> Arc<Stream> {
        let has_body = opening.request.body != crate::wire::Body::None;
        let stream = Arc::new(Stream {
            request: opening.request,
            peer: opening.peer,
            opened: Instant::now(),
            marks: opening.marks,
            links: opening.links,
            inner: Mutex::new(Inner {
                scope,
                inbox: Inbox::new(has_body),
                outbox: opening.spare,
                gone: None,
                settled: false,
                logged: false,
                waker: None,
            }),
            buffered: AtomicUsize::new(0),
            wants_drain: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            news: AtomicU8::new(0),
            posted: AtomicBool::new(false),
            token: AtomicUsize::new(0),
        });
        stream.links.up.send(Arrival::Opened(stream.clone()));
        stream
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic poisons its stream; the data stay consistent between transitions.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(self: &Arc<Self>, news: u8) {
        if self.news.fetch_or(news, Ordering::AcqRel) == 0 {
            self.links.up.send(Arrival::News(self.clone()));
        }
    }
}

/// The connection's side.
impl Stream {
    /// Adds a piece of the request body; the application must see the last one as the last.
    pub fn feed(self: &Arc<Self>, piece: Bytes, is_last: bool) {
        let waiting = {
            let mut inner = self.inner();
            inner.inbox.push(piece);
            if is_last {
                inner.inbox.end();
            }
            inner.inbox.stop_waiting()
        };
        if waiting {
            self.tell(News::READABLE);
        }
    }

    /// The request body is complete.
    pub fn end(self: &Arc<Self>) {
        let waiting = {
            let mut inner = self.inner();
            inner.inbox.end();
            inner.inbox.stop_waiting()
        };
        if waiting {
            self.tell(News::READABLE);
        }
    }

    /// Whether the application has taken enough for more to be read.
    pub fn has_room(&self) -> bool {
        self.inner().inbox.has_room()
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

    /// The request turned out to be unacceptable: the server answers, if the application has not.
    pub fn refuse(self: &Arc<Self>, refusal: Refusal) {
        {
            let mut inner = self.inner();
            let Inner { scope, outbox, .. } = &mut *inner;
            scope.refuse(refusal, outbox);
        }
        self.gone(refusal.reason());
    }

    /// Bytes counted by [`Stream::buffered`] were handed to the transport.
    pub fn wrote(self: &Arc<Self>, bytes: usize) {
        let before = self.buffered.fetch_sub(bytes, Ordering::AcqRel);
        let low = self.marks.low;
        if before.saturating_sub(bytes) < low.max(1)
            && self.wants_drain.swap(false, Ordering::AcqRel)
        {
            self.tell(News::DRAINED);
        }
    }

    /// Swaps what is to be written into `spare`, or leaves the waker behind.
    pub fn take(&self, cx: &Context<'_>, spare: &mut Outbox) -> Taken {
        let mut inner = self.inner();
        let output = inner.outbox.is_flushable();
        if output {
            std::mem::swap(&mut inner.outbox, spare);
        } else if !inner.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        Taken { output, settled: inner.settled, reading: inner.inbox.is_touched() }
    }

    /// Wakes the connection; called by the task that empties the down link.
    pub fn wake(&self) {
        self.posted.store(false, Ordering::Release);
        let waker = self.inner().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The Perl thread's side.
impl Stream {
    /// The next event for the application, and whether the core must be woken: it may read on.
    pub fn receive(self: &Arc<Self>) -> (Received, bool) {
        let (received, room) = {
            let mut inner = self.inner();
            let over = inner.settled || inner.scope.is_complete();
            inner.inbox.receive(over)
        };
        if room {
            self.post();
        }
        (received, room)
    }

    /// Takes an event of the application. Output is queued for [`Stream::post`].
    pub fn send(
        self: &Arc<Self>,
        row: Option<usize>,
        given: &str,
        values: &[Value<'_>],
    ) -> Result<Sent, SendError> {
        let mut inner = self.inner();
        let Inner { scope, outbox, .. } = &mut *inner;
        let before = outbox.payload();
        outbox.inline_file = self.marks.inline_file;
        let sent = scope.send(row, given, values, outbox)?;
        let added = outbox.payload() - before;
        if added > 0 {
            self.buffered.fetch_add(added, Ordering::AcqRel);
        }
        let waiting = sent.completed && inner.inbox.stop_waiting();
        drop(inner);
        if waiting {
            // After its response a request has nothing to receive but its end.
            self.tell(News::READABLE);
        }
        Ok(sent)
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
        let ended = {
            let mut inner = self.inner();
            let Inner { scope, outbox, .. } = &mut *inner;
            let ended = scope.returned(ok, outbox);
            inner.settled = true;
            ended
        };
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
            // What was answered in full is complete, whatever becomes of its connection.
            let over = inner.settled || inner.scope.is_complete();
            let reason = if over { None } else { inner.gone };
            if reason.is_some() {
                inner.scope.gone();
                inner.settled = true;
            }
            reason
        };
        self.post();
        reason
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

    /// True for the first caller: each request has one line in the access log.
    pub fn claim_log(&self) -> Option<Tally> {
        let mut inner = self.inner();
        let first = !std::mem::replace(&mut inner.logged, true);
        first.then(|| inner.scope.tally())
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
