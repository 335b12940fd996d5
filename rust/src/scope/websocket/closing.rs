//! How a WebSocket ends: closing handshakes, violations, timers.

use std::time::Duration;

use super::traffic::frame;
use super::{End, State, WebSocket};
use crate::error::{Reason, SendError};
use crate::scope::{Effects, Grammar, Note, Timer};
use crate::wire::websocket::close::{self, Close};
use crate::wire::websocket::frames::Kind;
use crate::wire::websocket::{OVERFLOW, Violation};

/// How long the peer has to answer the server's Close, from when that has left.
const FAREWELL: Duration = Duration::from_secs(3);

/// What the application is told where a Close frame has no code.
const NO_CODE: u16 = 1005;

impl WebSocket {
    /// The application closes.
    pub(super) fn close(
        &mut self,
        code: Option<i64>,
        reason: Option<&str>,
        out: &mut dyn Effects,
    ) -> Result<(), SendError> {
        let code = code.unwrap_or(1000);
        if !close::is_sendable(code) {
            return Err(SendError::Field {
                event: "websocket.close",
                field: "code",
                problem: "must be one of 1000-1003, 1007-1014, 3000-4999",
            });
        }
        self.part(code as u16, reason.unwrap_or_default(), out);
        Ok(())
    }

    /// Sends the server's Close and waits for the peer's.
    pub(super) fn part(&mut self, code: u16, reason: &str, out: &mut dyn Effects) {
        if self.held.is_some() {
            return self.let_go(out);
        }
        self.close_frame(Some(code), reason, out);
        self.state = State::Closing;
        out.arm(Timer::Keepalive, None);
        out.arm(Timer::Answer, None);
        out.arm(Timer::Idle, None);
        out.await_sent();
    }

    /// The server's Close is out. Before that, what counts is that the peer reads on: it may be slow,
    /// with much before it.
    pub(super) fn await_answer(&self, out: &mut dyn Effects) {
        out.arm(Timer::Farewell, Some(FAREWELL));
    }

    pub(super) fn close_frame(&self, code: Option<u16>, reason: &str, out: &mut dyn Effects) {
        frame(Kind::Close, false, &close::payload(code, reason), out);
    }

    /// The peer's Close: answered in kind, unless it is the answer.
    pub(super) fn peer_close(&mut self, close: Close, out: &mut dyn Effects) {
        if self.state == State::Open {
            self.close_frame(close.code, &close.reason, out);
        }
        let code = close.code.unwrap_or(NO_CODE);
        self.end(code, &close.reason, Reason::ClientClosed, out);
    }

    /// The peer broke the protocol, or went on where it should have waited.
    pub(super) fn fail(&mut self, violation: Violation, out: &mut dyn Effects) {
        if self.state == State::Open {
            self.close_frame(Some(violation.code), violation.text, out);
        }
        let reason = match violation {
            OVERFLOW => Reason::QueueOverflow,
            _ => Reason::ProtocolError,
        };
        self.end(violation.code, reason.token(), reason, out);
    }

    /// A timer is due.
    pub(super) fn due(&mut self, timer: Timer, out: &mut dyn Effects) {
        match (timer, self.state) {
            (_, State::Over) => {}
            (Timer::Idle, State::Open) => {
                self.note_idle(out);
                self.close_frame(Some(1001), "Idle timeout", out);
                self.end(1006, Reason::IdleTimeout.token(), Reason::IdleTimeout, out);
            }
            (Timer::Idle, State::Opening | State::Denying) => {
                self.note_idle(out);
                self.break_off(Reason::IdleTimeout, out);
            }
            (Timer::Keepalive, State::Open) => self.ping(out),
            // The pong may lie in what is not being read.
            (Timer::Answer, State::Open) if !self.has_room(out.queue()) => {
                out.arm(Timer::Answer, self.keepalive.timeout);
            }
            (Timer::Answer, State::Open) => {
                let seconds = self.keepalive.timeout.unwrap_or_default().as_secs_f64();
                let text =
                    format!("WebSocket keepalive timeout - no pong received within {seconds}s");
                out.note(Note::Log(text));
                self.break_off(Reason::KeepaliveTimeout, out);
            }
            (Timer::Farewell, State::Closing) => {
                self.end(1006, Reason::ClientTimeout.token(), Reason::ClientTimeout, out);
            }
            (Timer::Farewell, State::Open) => self.let_go(out),
            (Timer::Full, State::Open) => self.is_full(out),
            _ => {}
        }
    }

    fn note_idle(&self, out: &mut dyn Effects) {
        let seconds = self.limits.idle.unwrap_or_default().as_secs_f64();
        let text = format!("WebSocket idle timeout ({seconds}s) - closing connection");
        out.note(Note::Log(text));
    }

    /// The scope ends the stream: what was sent still leaves, and nothing follows.
    pub(super) fn end(&mut self, code: u16, reason: &str, own: Reason, out: &mut dyn Effects) {
        self.finish(code, reason, Some(own));
        out.end();
    }

    /// The scope ends the stream, and nobody is there to read what was sent.
    fn break_off(&mut self, reason: Reason, out: &mut dyn Effects) {
        self.finish(1006, reason.token(), Some(reason));
        out.abort(reason);
    }

    /// The first end counts. What was kept for messages is given back.
    pub(super) fn finish(&mut self, code: u16, reason: &str, own: Option<Reason>) {
        if self.end.is_none() {
            self.end = Some(End { code, reason: reason.to_owned(), own });
        }
        self.state = State::Over;
        self.reader = None;
        self.deflater = None;
        self.denial = None;
        self.owed = None;
    }
}
