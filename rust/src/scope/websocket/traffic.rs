//! Messages both ways, pings and their answers, and a full inbox.

use std::time::Duration;

use super::{Full, Keepalive, State, WebSocket};
use crate::event::Receive;
use crate::event::websocket::WebSocketReceive;
use crate::scope::{Effects, Grammar, Note, Sent, Timer, period};
use crate::wire::websocket::deflate::LEAST_MESSAGE;
use crate::wire::websocket::frames::{self, Kind};
use crate::wire::websocket::messages::Incoming;
use crate::wire::websocket::{OVERFLOW, TOO_BIG, Violation};

/// How long reading stops for a full inbox before the peer is held to the limit.
const PATIENCE: Duration = Duration::from_secs(1);

impl WebSocket {
    /// A message of the application's.
    pub(super) fn message(
        &mut self,
        text: Option<&str>,
        bytes: Option<&[u8]>,
        out: &mut dyn Effects,
    ) -> Sent {
        let (kind, payload) = match (text, bytes) {
            (Some(text), _) => (Kind::Text, text.as_bytes()),
            (None, Some(bytes)) => (Kind::Binary, bytes),
            (None, None) => return Sent::default(),
        };
        let deflater = self.deflater.as_mut().filter(|_| payload.len() >= LEAST_MESSAGE);
        match deflater.and_then(|deflater| deflater.deflate(payload)) {
            Some(packed) => frame(kind, true, &packed, out),
            None => frame(kind, false, payload, out),
        }
        Sent { body: true, ..Sent::default() }
    }

    /// Takes raw data while there is room for what comes of it; tells how much.
    pub(super) fn read(&mut self, input: &[u8], out: &mut dyn Effects) -> usize {
        let mut rest = input;
        while !rest.is_empty() && matches!(self.state, State::Open | State::Closing) {
            if self.state == State::Open && !self.has_room(out.queue()) {
                break;
            }
            let Some(reader) = &mut self.reader else { break };
            match reader.next(&mut rest) {
                Ok(Some(incoming)) => self.incoming(incoming, out),
                Ok(None) => {}
                Err(violation) => self.violated(violation, out),
            }
        }
        if rest.len() < input.len() {
            self.stir(out);
        }
        let is_deaf = self.held.is_some() || !matches!(self.state, State::Open | State::Closing);
        if is_deaf { input.len() } else { input.len() - rest.len() }
    }

    fn incoming(&mut self, incoming: Incoming, out: &mut dyn Effects) {
        match incoming {
            Incoming::Text(text) => self.deliver(WebSocketReceive::Text { text }, out),
            Incoming::Binary(bytes) => self.deliver(WebSocketReceive::Binary { bytes }, out),
            Incoming::Ping(payload) => {
                self.owed = Some(payload);
                if !out.is_choked() {
                    self.pay(out);
                }
            }
            Incoming::Pong => {
                if std::mem::take(&mut self.keepalive.is_waiting) {
                    out.arm(Timer::Answer, None);
                }
            }
            Incoming::Close(close) => self.peer_close(close, out),
        }
    }

    /// A message that comes after the server's Close is nobody's any more.
    fn deliver(&mut self, event: WebSocketReceive, out: &mut dyn Effects) {
        if self.state != State::Open {
            return;
        }
        let queue = out.queue();
        if queue.events >= self.limits.queue {
            return self.violated(OVERFLOW, out);
        }
        out.deliver(Receive::WebSocket(event));
        if queue.events + 1 < self.limits.queue {
            self.full = Full::No;
        } else if self.full == Full::No {
            self.full = Full::Since(queue.taken);
            out.arm(Timer::Full, Some(PATIENCE));
        }
    }

    /// The inbox was full a while ago. Where the application has taken nothing since, the peer
    /// must do without backpressure: reading goes on, and the next message may be one too many.
    pub(super) fn is_full(&mut self, out: &mut dyn Effects) {
        let queue = out.queue();
        self.full = match self.full {
            _ if queue.events < self.limits.queue => Full::No,
            Full::Since(taken) if taken == queue.taken => Full::Strict,
            _ => {
                out.arm(Timer::Full, Some(PATIENCE));
                Full::Since(queue.taken)
            }
        };
    }

    /// A violation ends the connection, but the application may answer first what came before.
    fn violated(&mut self, violation: Violation, out: &mut dyn Effects) {
        if violation == TOO_BIG {
            let limit = self.limits.frame;
            let text = "PAGI connection error: Payload is too big. Deny big message or increase \
                        max_ws_frame_size";
            out.note(Note::Warning(format!("{text} ({limit})\n")));
        }
        let queue = out.queue();
        let is_answered = queue.events == 0 && queue.is_awaited;
        if is_answered || violation == OVERFLOW || self.state != State::Open {
            return self.fail(violation, out);
        }
        self.held = Some(violation);
        out.arm(Timer::Farewell, Some(PATIENCE));
    }

    /// Sends the pong that is owed. Only the last ping is answered where several came while the
    /// client did not read (RFC 6455 5.5.3).
    pub(super) fn pay(&mut self, out: &mut dyn Effects) {
        let is_open = matches!(self.state, State::Open | State::Closing);
        if let (Some(payload), true) = (self.owed.take(), is_open) {
            frame(Kind::Pong, false, &payload, out);
            out.flush();
        }
    }

    pub(super) fn set_keepalive(
        &mut self,
        interval: Option<f64>,
        timeout: Option<f64>,
        out: &mut dyn Effects,
    ) {
        let interval = interval.and_then(period);
        let timeout = timeout.and_then(period).filter(|_| interval.is_some());
        self.keepalive = Keepalive { interval, timeout, is_waiting: false };
        out.arm(Timer::Keepalive, interval);
        out.arm(Timer::Answer, None);
    }

    /// A ping is due. A client that does not read gets no second one, but its time runs.
    pub(super) fn ping(&mut self, out: &mut dyn Effects) {
        if !out.is_choked() {
            frame(Kind::Ping, false, b"", out);
            out.flush();
        }
        out.arm(Timer::Keepalive, self.keepalive.interval);
        if self.keepalive.timeout.is_some() && !self.keepalive.is_waiting {
            self.keepalive.is_waiting = true;
            out.arm(Timer::Answer, self.keepalive.timeout);
        }
        self.stir(out);
    }
}

/// Writes a frame.
pub(super) fn frame(kind: Kind, is_compressed: bool, payload: &[u8], out: &mut dyn Effects) {
    out.data(&frames::header(kind, is_compressed, payload.len()));
    out.data(payload);
    out.flush();
}
