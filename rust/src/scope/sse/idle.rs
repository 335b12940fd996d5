//! What happens while nothing does: comments that keep a stream open, and the end of one that they
//! do not.

use std::time::Duration;

use super::{Sse, State};
use crate::error::Reason;
use crate::scope::{Effects, Grammar, Note, Timer, period};
use crate::wire::sse::comment;

/// The comments of a stream.
#[derive(Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    bytes: Vec<u8>,
}

impl Sse {
    pub(super) fn set_keepalive(
        &mut self,
        interval: f64,
        text: Option<&str>,
        out: &mut dyn Effects,
    ) {
        self.keepalive = period(interval).map(|interval| {
            Box::new(Keepalive { interval, bytes: comment(text.unwrap_or_default()) })
        });
        out.arm(Timer::Keepalive, self.keepalive.as_ref().map(|it| it.interval));
    }

    /// The scope itself ends the stream, in order.
    pub(super) fn end(&mut self, reason: Reason, out: &mut dyn Effects) {
        self.own_end = Some(reason);
        self.gone(reason);
        out.end();
        self.rest(out);
    }

    /// Something moved: the idle timer starts anew.
    pub(super) fn stir(&self, out: &mut dyn Effects) {
        if self.idle.is_some() {
            out.arm(Timer::Idle, self.idle);
        }
    }

    /// Nothing is to move any more.
    pub(super) fn rest(&mut self, out: &mut dyn Effects) {
        if self.idle.is_some() {
            out.arm(Timer::Idle, None);
        }
        if self.keepalive.take().is_some() {
            out.arm(Timer::Keepalive, None);
        }
    }

    pub(super) fn idled(&mut self, out: &mut dyn Effects) {
        let seconds = self.idle.unwrap_or_default().as_secs_f64();
        out.note(Note::Log(format!("SSE idle timeout ({seconds}s) - closing connection")));
        self.own_end = Some(Reason::IdleTimeout);
        self.gone(Reason::IdleTimeout);
        out.abort(Reason::IdleTimeout);
        self.rest(out);
    }

    /// A comment is due. One that its client would not read is not added to those before it.
    pub(super) fn keep_alive(&mut self, out: &mut dyn Effects) {
        let Some(keepalive) = &self.keepalive else { return };
        out.arm(Timer::Keepalive, Some(keepalive.interval));
        if self.state == State::Streaming && !out.is_choked() {
            out.data(&keepalive.bytes);
            out.flush();
            self.stir(out);
        }
    }
}
