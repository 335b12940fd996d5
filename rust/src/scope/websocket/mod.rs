//! The grammar of a `websocket` scope.
//= PAGI::Spec::Www "WebSocket"

mod closing;
mod handshake;
mod traffic;

use std::time::Duration;

use super::{Effects, Ended, Grammar, Queue, Sent, Tally, Timer};
use crate::config::Config;
use crate::error::{Reason, SendError};
use crate::event::scope::Type;
use crate::event::websocket::{WebSocketReceive, WebSocketSend};
use crate::event::{Receive, Table, Value};
use crate::wire::websocket::Violation;
use crate::wire::websocket::deflate::{Agreement, Deflater};
use crate::wire::websocket::messages::Reader;
use crate::wire::{Refusal, RequestHead, ResponseHead};

/// A message may have this many times the largest frame.
const MOST_FRAMES: u64 = 128;

/// Bytes of messages that wait for the application at which reading stops.
const MOST_WAITING: usize = 256 * 1024;

/// ```text
/// Opening --accept--> Open --close, call over--> Closing --peer's Close, patience over--> Over
///    |                 |  --peer's Close, violation, keepalive, idle, shutdown--> Over
///    |  --denial start--> Denying --denial body more=0--> Over
///    |  --close (403), call over (500)--> Over
/// any --client gone, server answered--> Over
/// ```
///
/// Everything not drawn is ignored: contract 03, section 4 wants silence there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The handshake is not answered.
    Opening,
    /// The application denies it with a response of its own.
    Denying,
    /// Messages go both ways.
    Open,
    /// The server's Close is out; the peer's is awaited.
    Closing,
    /// Nothing that is sent counts any more.
    Over,
}

/// How it ended, for the application.
#[derive(Clone, Debug)]
struct End {
    code: u16,
    reason: String,
    /// Set where the scope itself ended the stream.
    own: Option<Reason>,
}

/// The pings that look after the client.
#[derive(Clone, Copy, Debug, Default)]
struct Keepalive {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    is_waiting: bool,
}

/// One `websocket` scope.
#[derive(Debug)]
pub struct WebSocket {
    state: State,
    status: u16,
    end: Option<End>,
    limits: Limits,
    /// The subprotocols that the client offered, joined by commas.
    offered: Vec<u8>,
    agreed: Option<Agreement>,
    reader: Option<Reader>,
    deflater: Option<Deflater>,
    keepalive: Keepalive,
    denial: Option<Box<(ResponseHead, Vec<u8>)>>,
    /// A pong that waits until the client reads on.
    owed: Option<Vec<u8>>,
    full: Full,
    /// A violation that came after messages which the application has yet to answer.
    held: Option<Violation>,
    is_stopping: bool,
}

/// The options that a scope keeps.
#[derive(Clone, Copy, Debug)]
struct Limits {
    queue: usize,
    frame: u64,
    idle: Option<Duration>,
}

/// What is done about a full inbox: the peer gets time, then it is held to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// It is not full.
    No,
    /// It has been, with so many events taken before.
    Since(u64),
    /// The time is up: the next message must find room.
    Strict,
}

impl WebSocket {
    /// A scope for a handshake that was checked.
    pub fn new(request: &RequestHead, config: &Config) -> WebSocket {
        let offers = request.list(b"sec-websocket-extensions");
        WebSocket {
            state: State::Opening,
            status: 0,
            end: None,
            limits: Limits {
                queue: config.max_receive_queue,
                frame: config.max_ws_frame_size,
                idle: config.ws_idle_timeout,
            },
            offered: request.list(b"sec-websocket-protocol"),
            agreed: config.ws_compression.and_then(|bits| Agreement::parse(&offers, bits)),
            reader: None,
            deflater: None,
            keepalive: Keepalive::default(),
            denial: None,
            owed: None,
            full: Full::No,
            held: None,
            is_stopping: false,
        }
    }

    fn take(&mut self, event: WebSocketSend<'_>, out: &mut dyn Effects) -> Result<Sent, SendError> {
        use WebSocketSend::{Accept, Close, DenialBody, DenialStart, Keepalive, Send};
        match (self.state, event) {
            (State::Opening, Accept { subprotocol, headers }) => {
                self.accept(subprotocol, headers, out)?;
            }
            (State::Opening, DenialStart { status, headers }) => self.deny(status, headers)?,
            (State::Denying, DenialBody { body, more }) => {
                self.denial_body(body.unwrap_or_default(), more, out);
            }
            (State::Opening | State::Denying, Close { .. }) => self.reject(out),
            (State::Open, Send { text, bytes }) => return Ok(self.message(text, bytes, out)),
            (State::Open, Close { code, reason }) => self.close(code, reason, out)?,
            (State::Open, Keepalive { interval, timeout }) => {
                self.set_keepalive(interval, timeout, out);
            }
            (_, Accept { .. } | Send { .. } | Close { .. } | Keepalive { .. }) => {}
            (_, DenialStart { .. } | DenialBody { .. }) => {}
        }
        Ok(Sent { flushed: true, ..Sent::default() })
    }

    /// Something moved: the idle timer starts anew.
    fn stir(&self, out: &mut dyn Effects) {
        if self.limits.idle.is_some() {
            out.arm(Timer::Idle, self.limits.idle);
        }
    }
}

impl Grammar for WebSocket {
    fn kind(&self) -> Type {
        Type::WebSocket
    }

    fn takes(&self, table: Table, _at: usize) -> bool {
        table == Table::WebSocketSend
    }

    fn send(
        &mut self,
        (_, at): (Table, usize),
        values: &[Value<'_>],
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError> {
        self.stir(out);
        self.take(WebSocketSend::read(at, values)?, out)
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Closing | State::Over)
    }

    fn is_complete(&self) -> bool {
        self.state == State::Over
    }

    fn gone(&mut self, reason: Reason) {
        self.finish(1006, reason.token(), None);
    }

    fn refuse(&mut self, refusal: Refusal, out: &mut dyn Effects) -> bool {
        let is_opening = matches!(self.state, State::Opening | State::Denying);
        if is_opening {
            self.status = refusal.status();
            out.refuse(refusal);
        } else if self.state != State::Over {
            out.abort(refusal.reason());
        }
        self.state = State::Over;
        is_opening
    }

    fn returned(&mut self, ok: bool, out: &mut dyn Effects) -> Ended {
        match (self.state, ok) {
            (State::Opening | State::Denying, _) => {
                self.refuse(Refusal::InternalServerError, out);
                if ok { Ended::NoResponse } else { Ended::FailedBeforeStart }
            }
            (State::Open, _) => {
                self.part(if ok { 1000 } else { 1011 }, "", out);
                if ok { Ended::Complete } else { Ended::FailedAfterStart }
            }
            (State::Closing, true) => Ended::Complete,
            (State::Over, true) if self.end.is_none() => Ended::Complete,
            (State::Closing, false) => Ended::FailedAfterEnd,
            (State::Over, _) => Ended::Gone,
        }
    }

    fn tally(&self) -> Tally {
        Tally { status: self.status, bytes: 0, ..Tally::default() }
    }

    fn disconnect(&self) -> Receive {
        let (code, reason) = match &self.end {
            Some(end) => (end.code, end.reason.clone()),
            None => (1006, String::new()),
        };
        Receive::WebSocket(WebSocketReceive::Disconnect { code: i64::from(code), reason })
    }

    fn has_room(&self, queue: Queue) -> bool {
        let is_strict = self.full == Full::Strict;
        self.held.is_none()
            && queue.bytes < MOST_WAITING
            && (is_strict || queue.events < self.limits.queue)
    }

    fn is_read_out(&self) -> bool {
        true
    }

    fn keeps_time(&self) -> bool {
        true
    }

    fn own_end(&self) -> Option<Reason> {
        self.end.as_ref().and_then(|end| end.own)
    }

    fn open(&mut self, out: &mut dyn Effects) {
        out.deliver(Receive::WebSocket(WebSocketReceive::Connect {}));
        self.stir(out);
    }

    fn feed(&mut self, input: &[u8], out: &mut dyn Effects) -> usize {
        self.read(input, out)
    }

    fn tick(&mut self, timer: Timer, out: &mut dyn Effects) {
        self.due(timer, out);
    }

    fn drained(&mut self, out: &mut dyn Effects) {
        self.pay(out);
    }

    fn sent(&mut self, out: &mut dyn Effects) {
        if self.state == State::Closing {
            self.await_answer(out);
        }
    }

    fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    fn let_go(&mut self, out: &mut dyn Effects) {
        if let Some(violation) = self.held.take() {
            self.fail(violation, out);
        }
    }

    fn stop(&mut self, out: &mut dyn Effects) {
        self.is_stopping = true;
        if self.state == State::Open {
            self.close_frame(Some(1001), "Server shutdown", out);
            self.end(1006, Reason::ServerShutdown.token(), Reason::ServerShutdown, out);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
