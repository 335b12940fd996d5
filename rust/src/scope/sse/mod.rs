//! The grammar of an `sse` scope.
//= PAGI::Spec::Www "Server-Sent Events (SSE)"

mod answer;
mod idle;

use std::time::Duration;

use super::{Effects, Ended, Grammar, Piece, Sent, Tally, Timer};
use crate::config::Config;
use crate::error::{Reason, SendError};
use crate::event::http::HttpSend;
use crate::event::scope::Type;
use crate::event::sse::{SseReceive, SseSend};
use crate::event::{Receive, Table, Value};
use crate::wire::sse::{Dispatch, Given, comment};
use crate::wire::{Method, Refusal, RequestHead, ResponseHead};
use bytes::Bytes;
use idle::Keepalive;

/// Events of this size on are made once for all subscribers that get the same one: to find out that
/// it is the same costs as much as to make it (82 of 102 ns for one line of this size), but it is
/// copied to no stream (202 ns), and a thousand of them hold it once. A small one is made in 22 ns.
const SHARED: usize = 4096;

/// ```text
/// Waiting --start--> Streaming --close--> Closed
///    |                   +--call over, shutdown, idle--> Over
///    +--decline start--> Declining --decline body more=0--> Declined
///    +--close (500)--> Closed
/// any --client gone, server answered, call over, idle--> Over
/// ```
///
/// What is not drawn is ignored, but for three things: after its own close an application fails
/// with anything but another; after the start of a response it fails with events of the stream,
/// and after the start of the stream with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Neither a stream nor a response.
    Waiting,
    /// Events go out.
    Streaming,
    /// The application closed the stream.
    Closed,
    /// A response in the stream's stead is being gathered.
    Declining,
    /// That response is out.
    Declined,
    /// Nothing that is sent counts any more.
    Over,
}

/// One `sse` scope.
#[derive(Debug)]
pub struct Sse {
    state: State,
    is_head: bool,
    may_fullflush: bool,
    is_stopping: bool,
    /// A response took the stream's place.
    is_declined: bool,
    status: u16,
    bytes: u64,
    idle: Option<Duration>,
    /// That timeout is not its connection's.
    idles_alone: bool,
    keepalive: Option<Box<Keepalive>>,
    response: Option<Box<(ResponseHead, Vec<u8>)>>,
    /// Why it ended, in the application's or the specification's words.
    end: Option<Box<str>>,
    /// Set where the scope itself ended the stream.
    own_end: Option<Reason>,
}

impl Sse {
    /// A scope for a request.
    pub fn new(request: &RequestHead, config: &Config, may_fullflush: bool) -> Sse {
        Sse {
            state: State::Waiting,
            is_head: request.method_kind() == Method::Head,
            may_fullflush,
            is_stopping: false,
            is_declined: false,
            status: 0,
            bytes: 0,
            idle: config.sse_idle_timeout,
            idles_alone: config.sse_idle_stream,
            keepalive: None,
            response: None,
            end: None,
            own_end: None,
        }
    }

    /// The refusal of events that come too late.
    //= PAGI::Spec::Www "Close SSE", "Decline SSE"
    fn late(&self, given: &str) -> Option<SendError> {
        let after = match self.state {
            State::Closed if given != "sse.close" => "sse.close",
            State::Declining | State::Declined if !given.starts_with("sse.http.response.") => {
                "sse.http.response.start"
            }
            _ => return None,
        };
        Some(SendError::After { given: given.to_owned(), after })
    }

    fn take(&mut self, event: SseSend<'_>, out: &mut dyn Effects) -> Result<Sent, SendError> {
        use SseSend::{Close, Comment, DeclineBody, DeclineStart, Send, Start};
        use State::{Closed, Declined, Declining, Over, Streaming, Waiting};
        match (self.state, event) {
            (Waiting, Start { status, headers }) => return self.start(status, headers, out),
            (Streaming, Send { data, event, id, retry }) => {
                return send(&Given { event, data, id, retry }, out);
            }
            (Streaming, Comment { comment: text }) => {
                out.data(&comment(text.unwrap_or_default()));
                out.flush();
            }
            (Waiting | Streaming, SseSend::Keepalive { interval, comment }) => {
                self.set_keepalive(interval.unwrap_or_default(), comment, out);
            }
            (Waiting | Streaming, Close { reason }) => return Ok(self.close(reason, out)),
            (Waiting, DeclineStart { status, headers }) => self.decline(status, headers)?,
            (Streaming, DeclineStart { .. }) => {
                return Err(SendError::Decline("sse.http.response.start"));
            }
            (Streaming, DeclineBody { .. }) => {
                return Err(SendError::Decline("sse.http.response.body"));
            }
            (Declining, DeclineBody { body, more }) => {
                return Ok(self.decline_body(body.unwrap_or_default(), more, out));
            }
            (Waiting, Send { .. } | Comment { .. } | DeclineBody { .. }) => {}
            (Streaming | Declining | Declined | Closed | Over, Start { .. }) => {}
            (Declining | Declined | Closed | Over, DeclineStart { .. }) => {}
            (Declined | Closed | Over, DeclineBody { .. }) => {}
            (Declining | Declined | Closed | Over, Send { .. } | Comment { .. }) => {}
            (Declining | Declined | Closed | Over, SseSend::Keepalive { .. } | Close { .. }) => {}
        }
        Ok(Sent { flushed: true, ..Sent::default() })
    }
}

impl Grammar for Sse {
    fn kind(&self) -> Type {
        Type::Sse
    }

    fn takes(&self, table: Table, at: usize) -> bool {
        table == Table::SseSend || (table == Table::HttpSend && at == HttpSend::FULL_FLUSH)
    }

    fn unknown(&self, given: &str) -> SendError {
        let protocol = self.kind().name();
        let unknown = || SendError::UnknownEvent { given: given.to_owned(), protocol };
        self.late(given).unwrap_or_else(unknown)
    }

    fn send(
        &mut self,
        (table, at): (Table, usize),
        values: &[Value<'_>],
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError> {
        let rows = if table == Table::SseSend { SseSend::ROWS } else { HttpSend::ROWS };
        if let Some(late) = rows.get(at).and_then(|row| self.late(row.name)) {
            return Err(late);
        }
        if !self.is_shut() {
            self.stir(out);
        }
        if table == Table::SseSend {
            let sent = self.take(SseSend::read(at, values)?, out)?;
            return Ok(Sent { flushed: sent.flushed || self.idle.is_some(), ..sent });
        }
        if !self.may_fullflush {
            return Err(SendError::Extension("fullflush"));
        }
        out.flush();
        Ok(Sent { flushed: true, ..Sent::default() })
    }

    fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn is_complete(&self) -> bool {
        matches!(self.state, State::Closed | State::Declined)
    }

    fn is_shut(&self) -> bool {
        self.is_over() || self.is_complete()
    }

    fn ends_unheard(&self) -> bool {
        self.is_declined
    }

    fn gone(&mut self, reason: Reason) {
        if self.end.is_none() {
            self.end = Some(reason.token().into());
        }
        self.response = None;
        self.state = State::Over;
    }

    /// The timeout is the connection's: where it carries others, they end as well.
    fn ends_connection(&self) -> bool {
        !self.idles_alone && self.own_end == Some(Reason::IdleTimeout)
    }

    fn own_end(&self) -> Option<Reason> {
        self.own_end
    }

    fn disconnect(&self) -> Receive {
        let reason = self.end.as_deref().unwrap_or(Reason::ClientClosed.token()).to_owned();
        Receive::Sse(SseReceive::Disconnect { reason })
    }

    fn tally(&self) -> Tally {
        Tally { status: self.status, bytes: self.bytes, ..Tally::default() }
    }

    fn reads_body(&self) -> bool {
        true
    }

    fn piece(&self, body: Bytes, more: bool) -> Option<Receive> {
        Some(Receive::Sse(SseReceive::Request { body, more }))
    }

    fn keeps_time(&self) -> bool {
        true
    }

    fn open(&mut self, out: &mut dyn Effects) {
        self.stir(out);
    }

    fn tick(&mut self, timer: Timer, out: &mut dyn Effects) {
        match timer {
            _ if self.is_shut() => {}
            Timer::Idle => self.idled(out),
            Timer::Keepalive => self.keep_alive(out),
            Timer::Answer | Timer::Farewell | Timer::Full => {}
        }
    }

    fn stop(&mut self, out: &mut dyn Effects) {
        self.is_stopping = true;
        if self.state == State::Streaming {
            self.end(Reason::ServerShutdown, out);
        }
    }

    fn refuse(&mut self, refusal: Refusal, out: &mut dyn Effects) -> bool {
        let waiting = matches!(self.state, State::Waiting | State::Declining);
        if waiting {
            self.status = refusal.status();
            out.refuse(refusal);
        } else if self.state == State::Streaming {
            out.abort(refusal.reason());
        }
        if !self.is_shut() {
            self.gone(refusal.reason());
            self.rest(out);
        }
        waiting
    }

    fn returned(&mut self, ok: bool, out: &mut dyn Effects) -> Ended {
        let state = self.state;
        match state {
            State::Over | State::Closed | State::Declined => {}
            State::Waiting | State::Declining => self.fail(out),
            State::Streaming => out.end(),
        }
        if !self.is_shut() {
            self.gone(if ok { Reason::ClientClosed } else { Reason::ServerError });
            self.rest(out);
        }
        self.state = State::Over;
        match (state, ok) {
            (State::Over, _) => Ended::Gone,
            (State::Waiting, true) => Ended::NoResponse,
            (State::Closed, true) if self.status == 500 => Ended::NoResponse,
            (State::Declining, true) => Ended::Unfinished,
            (_, true) => Ended::Complete,
            (State::Waiting | State::Declining, false) => Ended::FailedBeforeStart,
            (State::Streaming, false) => Ended::FailedAfterStart,
            (State::Closed | State::Declined, false) => Ended::FailedAfterEnd,
        }
    }
}

/// An event. A large one that has gone to other subscribers as well was made for them.
fn send(given: &Given<'_>, out: &mut dyn Effects) -> Result<Sent, SendError> {
    let dispatch = Dispatch::new(given).map_err(|fault| SendError::Invalid(fault.text()))?;
    if dispatch.least_len() >= SHARED {
        out.share(&dispatch);
    } else {
        out.data(&dispatch.bytes());
    }
    out.flush();
    Ok(Sent { body: true, ..Sent::default() })
}

impl Piece for Dispatch<'_> {
    fn is(&self, made: &[u8]) -> bool {
        Dispatch::is(self, made)
    }

    fn make(&self) -> Vec<u8> {
        self.bytes()
    }
}

#[cfg(test)]
mod tests;
