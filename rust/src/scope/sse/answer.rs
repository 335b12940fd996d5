//! How a request is answered: with a stream, or with a response in its stead.

use super::{Sse, State};
use crate::error::{Reason, SendError};
use crate::event::PairList;
use crate::scope::{Effects, Sent, each_field};
use crate::wire::{Refusal, ResponseHead};

impl Sse {
    /// Validates everything before anything counts, so that a refused start leaves the way open
    /// for another one.
    pub(super) fn start(
        &mut self,
        status: Option<i64>,
        headers: Option<&dyn PairList>,
        out: &mut dyn Effects,
    ) -> Result<Sent, SendError> {
        let mut head = ResponseHead { status: check("sse.start", status)?, ..Default::default() };
        // Nobody knows how long a stream will be.
        each_field(headers, |name, value| {
            if !name.eq_ignore_ascii_case(b"content-length") {
                head.add(name, value);
            }
        })?;
        for (name, value) in [("content-type", "text/event-stream"), ("cache-control", "no-cache")]
        {
            if head.fields.first(name.as_bytes()).is_none() {
                head.fields.push(name.as_bytes(), value.as_bytes());
            }
        }
        head.bodyless = self.is_head || matches!(head.status, 204 | 205 | 304);
        head.endless = !head.bodyless;
        head.close |= head.bodyless;
        self.status = head.status;
        self.state = State::Streaming;
        let is_bodyless = head.bodyless;
        out.head(head);
        out.flush();
        // Of a stream without a body its client has all with the head.
        if is_bodyless {
            self.end(Reason::ClientClosed, out);
        } else if self.is_stopping {
            self.end(Reason::ServerShutdown, out);
        }
        Ok(Sent { started: true, flushed: true, ..Sent::default() })
    }

    /// The application ends the stream. One that never started has no answer for its client.
    pub(super) fn close(&mut self, reason: Option<&str>, out: &mut dyn Effects) -> Sent {
        self.end = Some(reason.unwrap_or(Reason::ClientClosed.token()).into());
        if self.state == State::Waiting {
            self.fail(out);
        } else {
            out.end();
        }
        self.state = State::Closed;
        self.rest(out);
        Sent { completed: true, flushed: true, ..Sent::default() }
    }

    /// Remembers the head of a response in the stream's stead.
    pub(super) fn decline(
        &mut self,
        status: Option<i64>,
        headers: Option<&dyn PairList>,
    ) -> Result<(), SendError> {
        let status = check("sse.http.response.start", status)?;
        let mut head = ResponseHead { status, ..Default::default() };
        each_field(headers, |name, value| head.add(name, value))?;
        self.response = Some(Box::new((head, Vec::new())));
        self.state = State::Declining;
        Ok(())
    }

    /// Gathers its body; with the last piece it goes out.
    pub(super) fn decline_body(&mut self, piece: &[u8], more: bool, out: &mut dyn Effects) -> Sent {
        if let Some(response) = &mut self.response {
            response.1.extend_from_slice(piece);
        }
        let last = if more { None } else { self.response.take() };
        let Some(response) = last else { return Sent { flushed: true, ..Sent::default() } };
        let (mut head, body) = *response;
        head.bodyless = self.is_head || matches!(head.status, 204 | 205 | 304);
        head.close = true;
        // A response to HEAD may tell the length of a body that nobody made.
        if !head.bodyless || (head.content_length.is_none() && !body.is_empty()) {
            head.set_length(body.len() as u64);
        }
        self.status = head.status;
        let has_body = !head.bodyless;
        out.head(head);
        if has_body {
            self.bytes = body.len() as u64;
            out.data(&body);
        }
        out.end();
        self.state = State::Declined;
        self.is_declined = true;
        self.rest(out);
        Sent { completed: true, flushed: true, ..Sent::default() }
    }

    /// The application has no answer.
    pub(super) fn fail(&mut self, out: &mut dyn Effects) {
        self.status = Refusal::InternalServerError.status();
        out.refuse(Refusal::InternalServerError);
    }
}

/// The status of a response.
fn check(event: &'static str, status: Option<i64>) -> Result<u16, SendError> {
    let status = status.unwrap_or(200);
    let code = u16::try_from(status).ok().filter(|code| (200..=999).contains(code));
    code.ok_or(SendError::Status(event, status))
}
