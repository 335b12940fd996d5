//! What a scope asks of its stream, and what it may ask it about.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::error::{Reason, SendError};
use crate::event::Receive;
use crate::wire::fields::Fields;
use crate::wire::{Refusal, ResponseHead};

/// What a scope asks of its stream.
pub trait Effects {
    /// Starts the response; held back until something else follows.
    fn head(&mut self, head: ResponseHead);
    /// Answers with a success after which both directions carry raw data: what follows with
    /// [`Effects::data`] is not framed as a body, and what comes in goes to the scope's `feed`.
    fn tunnel(&mut self, head: ResponseHead);
    /// Adds a piece of the body, or raw data.
    fn data(&mut self, bytes: &[u8]);
    /// Adds a piece that others of the server's streams may have sent as well: one that was added
    /// like this of late is used again, if it is the same.
    fn share(&mut self, piece: &dyn Piece) {
        self.data(&piece.make());
    }
    /// Adds at most `range.most` bytes of a file; tells how many that is.
    fn file(&mut self, source: Source<'_>, range: Range) -> Result<u64, SendError>;
    /// Lets go of what was held back.
    fn flush(&mut self);
    /// Ends the body with trailer fields.
    fn trailers(&mut self, fields: Fields);
    /// Ends the response.
    fn end(&mut self);
    /// Answers in the application's stead and ends.
    fn refuse(&mut self, refusal: Refusal);
    /// Breaks the response off, so that the client can tell.
    fn abort(&mut self, reason: Reason);
    /// Calls the scope's `tick` with this timer after a time, or no more; the last word counts.
    fn arm(&mut self, timer: Timer, after: Option<Duration>);
    /// Puts an event into the application's inbox.
    fn deliver(&mut self, event: Receive);
    /// What lies in the application's inbox.
    fn queue(&self) -> Queue;
    /// The peer reads so slowly that output is at its high mark. Whoever asks is told of a yes's
    /// end by the scope's `drained`.
    fn is_choked(&mut self) -> bool;
    /// Calls the scope's `sent` once all that was added has left for the transport.
    fn await_sent(&mut self);
    /// Says something to the operator.
    fn note(&mut self, note: Note);
}

/// A large piece of a body that is yet to be made.
pub trait Piece {
    /// Whether making it would give these bytes.
    fn is(&self, made: &[u8]) -> bool;
    /// Makes it.
    fn make(&self) -> Vec<u8>;
}

/// The timers of a stream. The connection keeps the time and knows nothing of their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Nothing moved for too long.
    Idle,
    /// The next sign of life is due.
    Keepalive,
    /// The peer's answer to a sign of life is overdue.
    Answer,
    /// The peer's part in an orderly end is overdue.
    Farewell,
    /// The inbox has been full for too long.
    Full,
}

/// What lies in an inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Events, not counting pieces of the request body.
    pub events: usize,
    /// Bytes in events and pieces.
    pub bytes: usize,
    /// Events that the application took since the stream opened.
    pub taken: u64,
    /// A `$receive` waits.
    pub is_awaited: bool,
}

/// Something for the operator to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A line of level warn for the server's log.
    Log(String),
    /// A warning that no log level filters; ends with a newline.
    Warning(String),
}

/// Where the bytes of a file come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A file to be opened.
    Path(&'a [u8]),
    /// An open, seekable file.
    File(BorrowedFd<'a>),
}

/// Which part of a file.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Offset of the first byte.
    pub offset: u64,
    /// Bytes at the most; fewer where the file ends before.
    pub most: u64,
}
