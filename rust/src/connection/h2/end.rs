//! How a connection comes to its end.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::carrier::Carrier;
use super::ready::SELF;
use super::{Connection, Engine};
use crate::connection::with_scratch;
use crate::error::Reason;

/// How long, and how much, is read after the GOAWAY so that the peer gets to see it: a close with
/// unread input resets the connection.
const LINGER: Duration = Duration::from_secs(2);
pub(super) const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Places for streams that a connection keeps while it has none.
pub(super) const KEEP_PLACES: usize = 8;

impl Connection {
    /// What the server wants of its connections.
    pub(super) fn heed_control(&mut self) {
        if self.permit.control.is_aborted() {
            self.lose_all(Reason::ServerShutdown);
            self.say_farewell(h2::Reason::NO_ERROR);
            self.turn_engine();
            self.is_over = true;
        } else if self.parting_since.is_none() && self.permit.control.is_draining() {
            self.parting_since = Some(Instant::now());
            if let Engine::Open(open) = &mut self.engine {
                open.graceful_shutdown();
            }
            self.due.extend(0..self.lanes.len());
            self.due.push(SELF);
        }
    }

    /// Both sides have said what they speak.
    pub(super) fn opened(&mut self, mut open: h2::server::Connection<Carrier, Bytes>) {
        if self.parting_since.is_some() {
            open.graceful_shutdown();
        }
        self.engine = Engine::Open(open);
    }

    /// The client did what ends the connection: it is told so.
    pub(super) fn heed_fault(&mut self) -> bool {
        let fault = self.carrier.line().fault;
        match fault {
            Some(fault) if self.linger_until.is_none() => {
                self.lose_all(Reason::ProtocolError);
                self.say_farewell(fault.0.into());
                true
            }
            _ => false,
        }
    }

    /// The client went on with a stream that it had ended: the stream is reset, and then the engine
    /// passes over what it said there.
    pub(super) fn heed_late(&mut self) -> bool {
        let mut line = self.carrier.line();
        let Some((id, fault)) = line.late.take() else { return false };
        let mut lanes = self.lanes.iter_mut().enumerate();
        let found = lanes.find_map(|(number, lane)| {
            lane.as_mut().filter(|lane| lane.stream.id == id).map(|lane| (number, lane))
        });
        match found {
            None => line.fault = Some(fault),
            Some((number, lane)) => {
                lane.lose(Reason::ProtocolError, fault.0.into());
                self.breaking.push(number);
            }
        }
        drop(line);
        self.reset_breaking();
        true
    }

    /// Waited for long enough: the connection ends, or what is left of it.
    pub(super) fn part(&mut self) {
        if self.linger_until.is_some() {
            self.is_over = true;
            return;
        }
        self.lose_all(Reason::IdleTimeout);
        self.say_farewell(h2::Reason::NO_ERROR);
    }

    /// Sends GOAWAY; nothing else follows.
    fn say_farewell(&mut self, code: h2::Reason) {
        self.linger_until = Some(Instant::now() + LINGER);
        match &mut self.engine {
            Engine::Open(open) => open.abrupt_shutdown(code),
            // The client has not even said what it speaks.
            _ => self.is_over = true,
        }
        self.due.push(SELF);
    }

    /// The engine has ended.
    pub(super) fn ended(&mut self, error: Option<&h2::Error>) {
        let reason = error.map_or(Reason::ClientClosed, reason);
        self.lose_all(reason);
        self.engine = Engine::Gone;
        if self.carrier.line().has_ended {
            self.is_over = true;
        } else {
            self.linger_until = Some(Instant::now() + LINGER);
        }
    }

    /// All streams end with their connection.
    pub(super) fn lose_all(&mut self, reason: Reason) {
        for lane in self.lanes.drain(..).flatten() {
            lane.stream.lost(reason);
        }
        self.breaking.clear();
        self.free.clear();
        self.places.clear();
        self.count = 0;
        self.rest();
    }

    /// Reads on until the peer has seen the end.
    pub(super) fn linger(&mut self, cx: &mut Context<'_>) {
        while !self.is_over {
            match with_scratch(|scratch| self.carrier.line().io.poll_read(cx, scratch)) {
                Poll::Pending => return,
                Poll::Ready(Ok(n)) if n > 0 && n < self.linger_left => self.linger_left -= n,
                Poll::Ready(_) => self.is_over = true,
            }
        }
    }
}

fn reason(error: &h2::Error) -> Reason {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.get_io().map(io::Error::kind) {
        Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof) => {
            Reason::ClientClosed
        }
        Some(_) => Reason::ReadError,
        None if error.is_remote() => Reason::ClientClosed,
        None => Reason::ProtocolError,
    }
}
