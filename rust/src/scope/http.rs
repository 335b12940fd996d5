//! The grammar of an `http` scope.
//= PAGI::Spec::Www "HTTP"

use super::{Effects, Ended, Grammar, Range, Sent, Source, Tally, each_field};
use crate::error::{Reason, SendError};
use crate::event::http::{HttpReceive, HttpSend};
use crate::event::scope::Type;
use crate::event::{PairList, Receive, Table, Value};
use crate::wire::fields::Fields;
use crate::wire::head::may_trail;
use crate::wire::{Method, Refusal, ResponseHead};
use bytes::Bytes;

/// ```text
/// Waiting --start--> Body --body more=1--> Body
///                     |  --body more=0--> Done            (trailers promised: Trailers)
///                     +  --trailers----> (ignored)        Trailers --trailers--> Done
/// any --client gone, server answered, call over--> Over
/// ```
///
/// Everything not drawn is ignored: contract 02, section 6 wants silence there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No response yet.
    Waiting,
    /// The response started; the body is on its way.
    Body,
    /// The body is complete; the promised trailers are awaited.
    Trailers,
    /// The response is complete.
    Done,
    /// Nothing that is sent counts any more.
    Over,
}

/// One `http` scope.
#[derive(Debug)]
pub struct Http {
    state: State,
    head_request: bool,
    may_fullflush: bool,
    bodyless: bool,
    promised_trailers: bool,
    status: u16,
    declared: Option<u64>,
    bytes: u64,
    complete: bool,
    /// The body ended before its declared length, or where its file could not be read any more.
    short: bool,
}

impl Http {
    /// A scope for a request with `method`.
    pub fn new(method: Method, may_fullflush: bool) -> Http {
        Http {
            state: State::Waiting,
            head_request: method == Method::Head,
            may_fullflush,
            bodyless: false,
            promised_trailers: false,
            status: 0,
            declared: None,
            bytes: 0,
            complete: false,
            short: false,
        }
    }

    /// Takes one event of the application.
    fn take(&mut self, event: HttpSend<'_>, out: &mut dyn Effects) -> Result<Sent, SendError> {
        match (self.state, event) {
            (State::Over, _) => Ok(Sent::default()),
            (State::Waiting, HttpSend::ResponseStart { status, headers, trailers }) => {
                self.start(status, headers, trailers, out)
            }
            (_, HttpSend::ResponseStart { .. }) => Ok(Sent::default()),
            (State::Body, HttpSend::ResponseBody { body, more, file, fh, offset, length }) => {
                let count = [body.is_some(), file.is_some(), fh.is_some()];
                let count = count.into_iter().filter(|given| *given).count();
                if count > 1 {
                    return Err(SendError::Sources(count));
                }
                match file.map(Source::Path).or(fh.map(Source::File)) {
                    None => Ok(self.body(body.unwrap_or_default(), more, out)),
                    Some(source) => self.file(source, range(offset, length)?, out),
                }
            }
            (_, HttpSend::ResponseBody { .. }) => Ok(Sent::default()),
            (State::Trailers, HttpSend::ResponseTrailers { headers }) => {
                self.trailers(headers, out)
            }
            (_, HttpSend::ResponseTrailers { .. }) => Ok(Sent::default()),
            (_, HttpSend::FullFlush {}) if !self.may_fullflush => {
                Err(SendError::Extension("fullflush"))
            }
            (_, HttpSend::FullFlush {}) => {
                out.flush();
                Ok(Sent { flushed: true, ..Sent::default() })
            }
        }
    }

    /// Validates everything before anything counts, so that a refused start leaves the way open
    /// for another one.
    fn start(
        &mut self,
        status: Option<i64>,
        headers: Option<&dyn PairList>,
        trailers: bool,
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError> {
        let status = status.unwrap_or(200);
        if !(200..=999).contains(&status) {
            return Err(SendError::Status("http.response.start", status));
        }
        let status = status as u16;
        let mut head = ResponseHead { status, ..ResponseHead::default() };
        each_field(headers, |name, value| head.add(name, value))?;
        head.bodyless = self.head_request || matches!(status, 204 | 205 | 304);
        self.status = status;
        self.bodyless = head.bodyless;
        self.declared = head.content_length;
        self.promised_trailers = trailers;
        self.state = State::Body;
        out.head(head);
        Ok(Sent { started: true, ..Sent::default() })
    }

    fn body(&mut self, body: &[u8], more: bool, out: &mut dyn Effects) -> Sent {
        let mut sent = Sent { body: true, ..Sent::default() };
        if !self.bodyless {
            let room = self.declared.map_or(u64::MAX, |all| all - self.bytes);
            let taken = (body.len() as u64).min(room);
            sent.excess = taken < body.len() as u64;
            self.bytes += taken;
            out.data(&body[..taken as usize]);
        }
        out.flush();
        if !more && self.promised_trailers {
            self.state = State::Trailers;
        } else if !more {
            sent.completed = self.finish(out);
        }
        sent
    }

    /// A file is the whole rest of the body. Nothing counts before it is open, so that a failure
    /// leaves the way open for another body.
    //= PAGI::Spec::Www "Response Body"
    fn file(
        &mut self,
        source: Source<'_>,
        range: Range,
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError> {
        let mut sent = Sent { body: true, file: true, ..Sent::default() };
        if !self.bodyless {
            let room = self.declared.map_or(u64::MAX, |all| all - self.bytes);
            self.bytes += out.file(source, Range { most: range.most.min(room), ..range })?;
        }
        out.flush();
        if self.promised_trailers {
            self.state = State::Trailers;
        } else {
            sent.completed = self.finish(out);
        }
        Ok(sent)
    }

    fn trailers(
        &mut self,
        headers: Option<&dyn PairList>,
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError> {
        let mut fields = Fields::default();
        each_field(headers, |name, value| {
            if may_trail(name) {
                fields.push(name, value);
            }
        })?;
        if !self.bodyless {
            out.trailers(fields);
        }
        Ok(Sent { completed: self.finish(out), ..Sent::default() })
    }

    /// The last event came. Fewer bytes than were declared: the client must see it broken off.
    fn finish(&mut self, out: &mut dyn Effects) -> bool {
        if !self.bodyless && self.declared.is_some_and(|all| self.bytes < all) {
            out.abort(Reason::ServerError);
            self.state = State::Done;
            self.short = true;
            return false;
        }
        out.end();
        self.complete = true;
        self.state = State::Done;
        true
    }
}

impl Grammar for Http {
    fn kind(&self) -> Type {
        Type::Http
    }

    fn takes(&self, table: Table, _at: usize) -> bool {
        table == Table::HttpSend
    }

    fn send(
        &mut self,
        (_, at): (Table, usize),
        values: &[Value<'_>],
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError> {
        self.take(HttpSend::read(at, values)?, out)
    }

    fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn tally(&self) -> Tally {
        Tally { status: self.status, bytes: self.bytes, ..Tally::default() }
    }

    fn disconnect(&self) -> Receive {
        Receive::Http(HttpReceive::Disconnect {})
    }

    fn reads_body(&self) -> bool {
        true
    }

    fn piece(&self, body: Bytes, more: bool) -> Option<Receive> {
        Some(Receive::Http(HttpReceive::Request { body, more }))
    }

    fn gone(&mut self, _reason: Reason) {
        self.state = State::Over;
    }

    fn broke(&mut self) {
        self.complete = false;
        self.short = true;
    }

    fn refuse(&mut self, refusal: Refusal, out: &mut dyn Effects) -> bool {
        let waiting = self.state == State::Waiting;
        if waiting {
            self.status = refusal.status();
            out.refuse(refusal);
        } else if self.state != State::Over && !self.complete {
            out.abort(refusal.reason());
        }
        self.state = State::Over;
        waiting
    }

    fn returned(&mut self, ok: bool, out: &mut dyn Effects) -> Ended {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, ok) {
            (State::Done | State::Over, true) if self.short => Ended::Unfinished,
            (State::Done | State::Over, false) if self.short => Ended::FailedAfterStart,
            (State::Over, _) => Ended::Gone,
            (State::Done, true) if self.complete => Ended::Complete,
            (State::Done, false) if self.complete => {
                // The response stands; its connection is not trusted with another one.
                out.abort(Reason::ServerError);
                Ended::FailedAfterEnd
            }
            (State::Done, _) => Ended::Unfinished,
            (State::Waiting, _) => {
                self.status = Refusal::InternalServerError.status();
                out.refuse(Refusal::InternalServerError);
                if ok { Ended::NoResponse } else { Ended::FailedBeforeStart }
            }
            (State::Body | State::Trailers, _) => {
                out.abort(Reason::ServerError);
                if ok { Ended::Unfinished } else { Ended::FailedAfterStart }
            }
        }
    }
}

/// The part of a file that an event asks for.
fn range(offset: Option<i64>, length: Option<i64>) -> Result<Range, SendError> {
    let number = |field, value: i64| {
        u64::try_from(value).map_err(|_| SendError::Field {
            event: "http.response.body",
            field,
            problem: "must be an integer of at least 0",
        })
    };
    let most = length.map_or(Ok(u64::MAX), |n| number("length", n))?;
    Ok(Range { offset: number("offset", offset.unwrap_or(0))?, most })
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
