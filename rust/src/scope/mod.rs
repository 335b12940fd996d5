//! The grammars: which event when, and to what effect. Pure: no clock, no channel, no lock.

pub mod http;

use std::os::fd::BorrowedFd;

use crate::error::{Reason, SendError};
use crate::event::{self, Table, Value};
use crate::wire::fields::Fields;
use crate::wire::{Refusal, RequestHead, ResponseHead};

pub use http::Http;

/// What a scope asks of its stream.
pub trait Effects {
    /// Starts the response; held back until something else follows.
    fn head(&mut self, head: ResponseHead);
    /// Adds a piece of the body.
    fn data(&mut self, bytes: &[u8]);
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

/// What a `$send` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The response started with this event.
    pub started: bool,
    /// The response is complete with this event.
    pub completed: bool,
    /// The event moved body bytes, so backpressure applies to it.
    pub body: bool,
    /// The event sent a file, so its `$send` waits until most of it has left.
    pub file: bool,
    /// The event let something go that was held back.
    pub flushed: bool,
    /// Body bytes beyond the declared length were dropped.
    pub excess: bool,
}

/// How an application's call ended, seen against what it had sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ended {
    /// The response is complete.
    Complete = 1,
    /// It returned and had started nothing: answered 500.
    NoResponse = 2,
    /// It returned in the middle of a response: broken off.
    Unfinished = 3,
    /// It failed before it had started a response: answered 500.
    FailedBeforeStart = 4,
    /// It failed in the middle of a response: broken off.
    FailedAfterStart = 5,
    /// It failed after its response was complete.
    FailedAfterEnd = 6,
    /// The client had gone before.
    Gone = 7,
}

/// What a scope tells the access log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// The status sent, 0 for none.
    pub status: u16,
    /// Body bytes accepted for the client.
    pub bytes: u64,
}

/// The grammar of one stream.
#[derive(Debug)]
pub enum Scope {
    /// An `http` scope.
    Http(Http),
}

impl Scope {
    /// The scope that a request asks for, or the answer to a request that asks for one which
    /// this version lacks.
    pub fn detect(request: &RequestHead, may_fullflush: bool) -> Result<Scope, Refusal> {
        if request.websocket {
            return Err(Refusal::NoWebSocket);
        }
        if request.event_stream {
            return Err(Refusal::NoSse);
        }
        Ok(Scope::Http(Http::new(request.method_kind(), may_fullflush)))
    }

    /// Takes the event of row `row` of [`event::rows`] (none for an unknown type `given`).
    pub fn send(
        &mut self,
        row: Option<usize>,
        given: &str,
        values: &[Value<'_>],
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError> {
        let Scope::Http(http) = self;
        if http.is_over() {
            return Ok(Sent::default());
        }
        let unknown =
            || SendError::UnknownEvent { given: given.to_owned(), protocol: http::PROTOCOL };
        match row.and_then(event::locate) {
            Some((Table::HttpSend, at)) => http.send(event::http::HttpSend::read(at, values)?, out),
            _ => Err(unknown()),
        }
    }

    /// The client is gone, or the server answered in the application's stead: from now on every
    /// send is silent.
    pub fn gone(&mut self) {
        let Scope::Http(http) = self;
        http.gone();
    }

    /// The server answers in the application's stead; false if it had started itself.
    pub fn refuse(&mut self, refusal: Refusal, out: &mut dyn Effects) -> bool {
        let Scope::Http(http) = self;
        http.refuse(refusal, out)
    }

    /// The application's call ended, well (`ok`) or by an exception.
    pub fn returned(&mut self, ok: bool, out: &mut dyn Effects) -> Ended {
        let Scope::Http(http) = self;
        http.returned(ok, out)
    }

    /// For the access log.
    pub fn tally(&self) -> Tally {
        let Scope::Http(http) = self;
        http.tally()
    }

    /// The response is complete as far as the application is concerned.
    pub fn is_complete(&self) -> bool {
        let Scope::Http(http) = self;
        http.is_complete()
    }
}
