//! The waist: one request and its answer, between a connection and a scope.
//!
//! A stream is shared by two threads. The core thread's connection feeds it and takes what it
//! has to write; the Perl thread receives and sends. One short lock guards each transition; it
//! is never held while Perl runs, across an await, or while a waker is called.

mod above;
mod arrival;
mod below;
mod desk;
mod inbox;
mod memo;
mod outbox;
mod pieces;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crate::bridge::{Inlet, Post};
use crate::error::Reason;
use crate::event::Receive;
use crate::event::scope::Type;
use crate::scope::Scope;
use crate::transport::Peer;
use crate::wire::RequestHead;

pub use arrival::{Arrival, Level, News, Notice};
use desk::Desk;
use inbox::Inbox;
pub use memo::Memo;
pub use outbox::{Mark, Outbox, Part, shrunk};
pub use pieces::Pieces;

/// Appended pieces of one dispatch are corked up to this size; beyond it the core starts writing
/// while the application goes on.
pub const CORK: usize = 32 * 1024;

/// What all streams of a server share.
pub struct Links {
    /// News for the Perl thread.
    pub up: Post<Arrival>,
    /// Streams with something for their connections.
    pub down: Inlet<Arc<Stream>>,
    /// What they sent of late.
    pub memo: Arc<Memo>,
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
    /// Its number on its connection; 0 where they have none.
    pub id: u32,
    /// When the head was complete.
    pub opened: Instant,
    /// The watermarks in force.
    pub marks: Marks,
    /// Which scope it has.
    pub kind: Type,
    /// The scope has timers of its own; the limits on slow requests are not for it.
    pub keeps_time: bool,
    links: Arc<Links>,
    inner: Mutex<Inner>,
    buffered: AtomicUsize,
    /// A `$send` waits for the low mark, or a watcher of `pagi.transport`.
    wants_drain: AtomicBool,
    /// The scope does.
    owes_drain: AtomicBool,
    /// The scope waits for the last of the output.
    owes_sent: AtomicBool,
    lost: AtomicBool,
    news: AtomicU8,
    posted: AtomicBool,
    token: AtomicUsize,
}

struct Inner {
    scope: Scope,
    desk: Desk,
    /// The end that the connection saw; the Perl thread takes it over in its own time, so that
    /// what it sends before it learns of the end still counts.
    gone: Option<Reason>,
    /// Why a file on its way could not be read, for the Perl thread.
    fault: Option<Box<str>>,
    settled: bool,
    /// The Perl thread was told that the scope itself ended the stream.
    told_end: bool,
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
    /// Since when it has been waiting for more of it.
    pub waiting: Option<Instant>,
    /// It sent something since the last look, and be it held back.
    pub active: bool,
}

/// What `$receive` found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// An event.
    Event(Receive),
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
    /// Its number on its connection; 0 where they have none.
    pub id: u32,
}

impl Stream {
    /// Opens a stream and tells the Perl thread.
    pub fn open(opening: Opening, mut scope: Scope) -> Arc<Stream> {
        let has_body = opening.request.body != crate::wire::Body::None;
        let grammar = scope.grammar_mut();
        let inbox = Inbox::new(grammar.reads_body().then_some(has_body));
        let mut desk = Desk::new(inbox, opening.spare, opening.links.memo.clone());
        grammar.open(&mut desk);
        let (kind, keeps_time) = (grammar.kind(), grammar.keeps_time());
        let stream = Arc::new(Stream {
            request: opening.request,
            peer: opening.peer,
            id: opening.id,
            opened: Instant::now(),
            marks: opening.marks,
            kind,
            keeps_time,
            links: opening.links,
            inner: Mutex::new(Inner {
                scope,
                desk,
                gone: None,
                fault: None,
                settled: false,
                told_end: false,
                logged: false,
                waker: None,
            }),
            buffered: AtomicUsize::new(0),
            wants_drain: AtomicBool::new(false),
            owes_drain: AtomicBool::new(false),
            owes_sent: AtomicBool::new(false),
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

    /// One transition of the scope, and all that follows from it.
    fn act<T>(self: &Arc<Self>, run: impl FnOnce(&mut Scope, &mut Desk) -> T) -> T {
        let mut inner = self.inner();
        let Inner { scope, desk, told_end, .. } = &mut *inner;
        let before = desk.outbox.payload();
        desk.is_choked = self.buffered() >= self.marks.high;
        let result = run(scope, desk);
        let added = desk.outbox.payload() - before;
        if added > 0 {
            self.buffered.fetch_add(added, Ordering::AcqRel);
        }
        if std::mem::take(&mut desk.waits_for_drain) {
            self.owes_drain.store(true, Ordering::Release);
        }
        if std::mem::take(&mut desk.waits_for_sent) {
            self.owes_sent.store(true, Ordering::Release);
        }
        let grammar = scope.grammar();
        let mut news = 0;
        // After its end a request has nothing to receive but that.
        if desk.has_news(grammar.is_complete()) {
            news |= News::READABLE;
        }
        if grammar.own_end().is_some() && !std::mem::replace(told_end, true) {
            news |= News::GONE;
        }
        let notes = std::mem::take(&mut desk.notes);
        drop(inner);
        for note in notes {
            self.links.up.send(Arrival::Server(note.into()));
        }
        if news != 0 {
            self.tell(news);
        }
        result
    }

    fn tell(self: &Arc<Self>, news: u8) {
        if self.news.fetch_or(news, Ordering::AcqRel) == 0 {
            self.links.up.send(Arrival::News(self.clone()));
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
