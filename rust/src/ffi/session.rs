//! HTTP/2 sessions across the boundary: bytes in memory, no connection and no core thread.

use super::codec::checked;
use super::server::{Setting, config};
use super::value::{Owned, RawValue, Text};
use crate::connection::session::{Outcome, Report, Session};
use crate::error::SendError;
use crate::wire::Fields;

/// What a report is about (`pagi_report_kind`).
mod report_kind {
    pub const NOTHING: u8 = 0;
    pub const REQUEST: u8 = 1;
    pub const PIECE: u8 = 2;
    pub const CLOSED: u8 = 3;
}

/// What becomes of a call about a stream (`pagi_outcome`).
mod outcome {
    pub const DONE: u8 = 0;
    pub const NO_STREAM: u8 = 1;
    pub const NOT_BEGUN: u8 = 2;
    pub const BEGUN: u8 = 3;
    pub const ENDED: u8 = 4;
    pub const INVALID: u8 = 5;
}

/// A session, and the report that C reads just now.
pub struct Handle {
    session: Session,
    told: Option<Report>,
}

/// One report. `flag`: a body follows, or has ended. The data live until the next report is asked
/// for.
#[repr(C)]
pub struct RawReport {
    pub kind: u8,
    pub flag: u8,
    pub id: u32,
    pub code: u32,
    pub data: Text,
}

fn handle<'a>(this: *mut Handle) -> &'a mut Handle {
    // SAFETY: "Handles": one thread uses it, and no reference outlives the call.
    unsafe { &mut *this }
}

const TOO_MANY: &str = "There are more header fields than HTTP/2 has room for\n";

fn number(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => outcome::DONE,
        Outcome::NoStream => outcome::NO_STREAM,
        Outcome::NotBegun => outcome::NOT_BEGUN,
        Outcome::Begun => outcome::BEGUN,
        Outcome::Ended => outcome::ENDED,
        Outcome::TooManyFields => outcome::INVALID,
    }
}

/// What `run` does with checked header tuples; a fault leaves its text in `error`.
fn with_fields(headers: &RawValue, error: &mut Owned, run: impl FnOnce(&Fields) -> Outcome) -> u8 {
    let text = match checked(headers) {
        Err(fault) => SendError::Header(fault).to_string(),
        Ok(fields) => match run(&fields) {
            Outcome::TooManyFields => TOO_MANY.to_owned(),
            outcome => return number(outcome),
        },
    };
    *error = Owned::new(text);
    outcome::INVALID
}

super::export! {
    /// A session with the settings of a server's options; null where it cannot be made.
    fn pagi_session_new(settings: *const Setting, count: usize) -> *mut Handle,
        std::ptr::null_mut(), {
        let session = Session::new(&config(super::server::slice(settings, count)));
        Box::into_raw(Box::new(Handle { session, told: None }))
    }
}

super::export! {
    /// Ends a session.
    fn pagi_session_free(this: *mut Handle) -> (), (), {
        // SAFETY: "Handles": from `pagi_session_new`, freed once.
        drop(unsafe { Box::from_raw(this) });
    }
}

super::export! {
    /// Takes what the client sent; returns how many bytes were wanted.
    fn pagi_session_feed(this: *mut Handle, bytes: Text) -> usize, 0, {
        handle(this).session.feed(bytes.bytes())
    }
}

super::export! {
    /// The next report; of the kind `NOTHING` where there is none.
    fn pagi_session_next(this: *mut Handle, out: &mut RawReport) -> (), (), {
        let this = handle(this);
        this.told = this.session.report();
        let none = RawReport {
            kind: report_kind::NOTHING, flag: 0, id: 0, code: 0, data: Text::EMPTY,
        };
        *out = match &this.told {
            None => none,
            Some(Report::Request { id, has_body, .. }) => {
                RawReport { kind: report_kind::REQUEST, flag: (*has_body).into(), id: *id, ..none }
            }
            Some(Report::Body { id, bytes, is_last }) => RawReport {
                kind: report_kind::PIECE,
                flag: (*is_last).into(),
                id: *id,
                data: Text::of(bytes),
                ..none
            },
            Some(Report::Closed { id, code }) => {
                RawReport { kind: report_kind::CLOSED, id: *id, code: *code, ..none }
            }
        };
    }
}

super::export! {
    /// A field of the request that was reported last; 0 past the last.
    fn pagi_session_field(this: *mut Handle, index: usize, name: &mut Text, value: &mut Text)
        -> u8, 0, {
        let Some(Report::Request { lines, .. }) = &handle(this).told else { return 0 };
        let Some((n, v)) = lines.spans.get(index) else { return 0 };
        *name = Text::of(n.in_bytes(&lines.bytes));
        *value = Text::of(v.in_bytes(&lines.bytes));
        1
    }
}

super::export! {
    /// Begins a response; a fault of its fields leaves its text in `error`.
    fn pagi_session_respond(
        this: *mut Handle, id: u32, status: u16, headers: &RawValue, has_body: u8,
        error: &mut Owned,
    ) -> u8, outcome::NO_STREAM, {
        let session = &mut handle(this).session;
        with_fields(headers, error, |fields| session.respond(id, status, fields, has_body != 0))
    }
}

super::export! {
    /// A piece of a response.
    fn pagi_session_push(this: *mut Handle, id: u32, bytes: Text, is_last: u8)
        -> u8, outcome::NO_STREAM, {
        number(handle(this).session.push(id, bytes.bytes(), is_last != 0))
    }
}

super::export! {
    /// The end of a response, with trailer fields; a fault of these leaves its text in `error`.
    fn pagi_session_trailers(this: *mut Handle, id: u32, headers: &RawValue, error: &mut Owned)
        -> u8, outcome::NO_STREAM, {
        let session = &mut handle(this).session;
        with_fields(headers, error, |fields| session.trailers(id, fields))
    }
}

super::export! {
    /// Whether `pagi_session_ask` is to name a stream.
    fn pagi_session_source(this: *mut Handle, id: u32, is_asked: u8) -> u8, outcome::NO_STREAM, {
        number(handle(this).session.source(id, is_asked != 0))
    }
}

super::export! {
    /// The stream whose response may go on, and by how much; 0 for none.
    fn pagi_session_ask(this: *mut Handle, most: &mut usize) -> u32, 0, {
        let Some((id, room)) = handle(this).session.ask() else { return 0 };
        *most = room;
        id
    }
}

super::export! {
    /// Resets a stream.
    fn pagi_session_reset(this: *mut Handle, id: u32, code: u32) -> u8, outcome::NO_STREAM, {
        number(handle(this).session.reset(id, code))
    }
}

super::export! {
    /// Ends the session with a GOAWAY.
    fn pagi_session_terminate(this: *mut Handle, code: u32) -> (), (), {
        handle(this).session.terminate(code);
    }
}

super::export! {
    /// What is to be sent to the client.
    fn pagi_session_take(this: *mut Handle) -> Owned, Owned::NONE, {
        Owned::of(handle(this).session.take())
    }
}

super::export! {
    /// Whether more of the client's bytes are of use.
    fn pagi_session_wants_read(this: *mut Handle) -> u8, 0, {
        handle(this).session.wants_read().into()
    }
}

super::export! {
    /// Whether something is to be sent.
    fn pagi_session_wants_write(this: *mut Handle) -> u8, 0, {
        handle(this).session.wants_write().into()
    }
}
