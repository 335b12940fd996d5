//! The grammars: which event when, and to what effect. Pure: no clock, no channel, no lock.

mod effects;
pub mod http;
pub mod sse;
pub mod websocket;

use std::time::Duration;

use crate::config::Config;
use crate::error::{HeaderFault, Reason, SendError};
use crate::event::scope::Type;
use crate::event::{self, PairList, Receive, Table, Value};
use crate::wire::fields::check;
use crate::wire::{Refusal, RequestHead};
use bytes::Bytes;

pub use effects::{Effects, Note, Piece, Queue, Range, Source, Timer};
pub use http::Http;
pub use sse::Sse;
pub use websocket::WebSocket;

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
    /// Why the stream ended before its scope was complete.
    pub reason: Option<Reason>,
}

/// What a stream asks of any scope. What has a body here is what only some scopes do.
pub trait Grammar {
    /// Which scope this is.
    fn kind(&self) -> Type;
    /// Whether an event of that table, at that place in it, is one of the scope's.
    fn takes(&self, table: Table, at: usize) -> bool;
    /// Takes an event of the application, one that [`Grammar::takes`].
    fn send(
        &mut self,
        event: (Table, usize),
        values: &[Value<'_>],
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError>;
    /// Nothing that is sent counts any more.
    fn is_over(&self) -> bool;
    /// The application has nothing more to say: what becomes of the connection is no news to it.
    fn is_complete(&self) -> bool;
    /// The client is gone, or the server answered in the application's stead: from now on every
    /// send is silent.
    fn gone(&mut self, reason: Reason);
    /// The server answers in the application's stead; false if it had started itself.
    fn refuse(&mut self, refusal: Refusal, out: &mut dyn Effects) -> bool;
    /// The application's call ended, well (`ok`) or by an exception.
    fn returned(&mut self, ok: bool, out: &mut dyn Effects) -> Ended;
    /// For the access log.
    fn tally(&self) -> Tally;
    /// The event that tells of the end; the same one each time.
    fn disconnect(&self) -> Receive;

    /// A file on its way cannot be read: the response breaks off.
    fn broke(&mut self) {}

    /// The scope tells the application of the request body; otherwise that is read and dropped.
    fn reads_body(&self) -> bool {
        false
    }
    /// A piece of the request body as an event.
    fn piece(&self, _body: Bytes, _more: bool) -> Option<Receive> {
        None
    }
    /// Whether the core may read more while so much waits for the application.
    fn has_room(&self, queue: Queue) -> bool {
        queue.bytes < BODY_BOUND
    }
    /// Events in the inbox come before the event that tells of the end.
    fn is_read_out(&self) -> bool {
        false
    }
    /// The scope has timers of its own, so the server's limits on slow requests are not for it.
    fn keeps_time(&self) -> bool {
        false
    }
    /// Why the stream ended, where the scope itself has ended it and nobody else could tell.
    fn own_end(&self) -> Option<Reason> {
        None
    }
    /// What ended the stream is about its connection, which ends with all that runs on it.
    fn ends_connection(&self) -> bool {
        false
    }
    /// The request is about to be told to the application.
    fn open(&mut self, _out: &mut dyn Effects) {}
    /// Takes raw data that came after [`Effects::tunnel`]; tells how much of it. What is not
    /// taken comes again once there is room.
    fn feed(&mut self, input: &[u8], _out: &mut dyn Effects) -> usize {
        input.len()
    }
    /// A timer that was armed is due.
    fn tick(&mut self, _timer: Timer, _out: &mut dyn Effects) {}
    /// Output that [`Effects::is_choked`] told of fell below the low mark.
    fn drained(&mut self, _out: &mut dyn Effects) {}
    /// All output has left, which [`Effects::await_sent`] asked to be told of.
    fn sent(&mut self, _out: &mut dyn Effects) {}
    /// What came in is held back until the application has looked at all that came before.
    fn is_holding(&self) -> bool {
        false
    }
    /// The application has looked at everything and waits for more.
    fn let_go(&mut self, _out: &mut dyn Effects) {}
    /// The refusal of an event that the scope does not take.
    fn unknown(&self, given: &str) -> SendError {
        SendError::UnknownEvent { given: given.to_owned(), protocol: self.kind().name() }
    }
    /// Whatever is sent, it is not looked at: there is no use in checking its shape.
    fn is_shut(&self) -> bool {
        self.is_over()
    }
    /// The application hears nothing of the end: it did without the events of its scope.
    fn ends_unheard(&self) -> bool {
        false
    }
    /// The server is shutting down: what could go on for ever ends now.
    fn stop(&mut self, _out: &mut dyn Effects) {}
}

/// Unread body bytes at which the connection stops reading.
pub const BODY_BOUND: usize = 64 * 1024;

/// What an application gives as a time, in seconds, is moved in here: a timer that is due again at
/// once would leave no time for anything else.
const PERIODS: std::ops::RangeInclusive<f64> = 0.01..=31_536_000.0;

/// The time for a number of seconds; none for what is not above 0.
fn period(seconds: f64) -> Option<Duration> {
    let kept = seconds.clamp(*PERIODS.start(), *PERIODS.end());
    (seconds > 0.0).then(|| Duration::from_secs_f64(kept))
}

/// Checks every tuple, then hands all of them on.
fn each_field(
    headers: Option<&dyn PairList>,
    mut take: impl FnMut(&[u8], &[u8]),
) -> Result<(), SendError> {
    let Some(headers) = headers else { return Ok(()) };
    for index in 0..headers.count() {
        let check_pair = || -> Result<(), HeaderFault> {
            let pair = headers.pair(index)?;
            check(pair.name, pair.value)
        };
        check_pair().map_err(SendError::Header)?;
    }
    for index in 0..headers.count() {
        if let Ok(pair) = headers.pair(index) {
            take(pair.name, pair.value);
        }
    }
    Ok(())
}

/// The grammar of one stream.
#[derive(Debug)]
pub enum Scope {
    /// An `http` scope.
    Http(Http),
    /// A `websocket` scope.
    WebSocket(Box<WebSocket>),
    /// An `sse` scope.
    Sse(Box<Sse>),
}

impl Scope {
    /// The scope that a request asks for, or the answer to a request that asks for one which
    /// this version lacks.
    pub fn detect(
        request: &RequestHead,
        config: &Config,
        may_fullflush: bool,
    ) -> Result<Scope, Refusal> {
        if request.websocket {
            return Ok(Scope::WebSocket(Box::new(WebSocket::new(request, config))));
        }
        if request.event_stream {
            return Ok(Scope::Sse(Box::new(Sse::new(request, config, may_fullflush))));
        }
        Ok(Scope::Http(Http::new(request.method_kind(), may_fullflush)))
    }

    /// The grammar.
    pub fn grammar(&self) -> &dyn Grammar {
        match self {
            Scope::Http(http) => http,
            Scope::WebSocket(websocket) => websocket.as_ref(),
            Scope::Sse(sse) => sse.as_ref(),
        }
    }

    /// The grammar, to be told something.
    pub fn grammar_mut(&mut self) -> &mut dyn Grammar {
        match self {
            Scope::Http(http) => http,
            Scope::WebSocket(websocket) => websocket.as_mut(),
            Scope::Sse(sse) => sse.as_mut(),
        }
    }

    /// Takes the event of row `row` of [`event::rows`] (none for an unknown type `given`).
    pub fn send(
        &mut self,
        row: Option<usize>,
        given: &str,
        values: &[Value<'_>],
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError> {
        let grammar = self.grammar_mut();
        if grammar.is_over() {
            return Ok(Sent::default());
        }
        match row.and_then(event::locate) {
            Some((table, at)) if grammar.takes(table, at) => grammar.send((table, at), values, out),
            _ => Err(grammar.unknown(row.and_then(event::row).map_or(given, |row| row.name))),
        }
    }
}
