//! One stream of a session: what comes in becomes reports, what is given goes out.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::HeaderMap;

use super::super::outgoing::{Outgoing, PIECE, room};
use super::{Report, code_of};

/// What becomes of a call about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// There is no such stream, any more or yet.
    NoStream,
    /// Its response has not begun.
    NotBegun,
    /// Its response has begun already.
    Begun,
    /// Its response has ended already.
    Ended,
    /// There are more fields than a head has room for.
    TooManyFields,
}

/// Who gives the next piece of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The caller, unasked.
    Caller,
    /// The caller, when it is asked.
    Asked,
    /// The same, once it says that there is something.
    Deferred,
}

/// A stream of a session.
pub struct Lane {
    respond: SendResponse<Bytes>,
    body: Option<RecvStream>,
    sending: Option<SendStream<Bytes>>,
    out: Outgoing,
    source: Source,
    is_head: bool,
    has_begun: bool,
    /// The response has no body: what is given of one is passed over.
    is_bodyless: bool,
    /// It is reset, by either side, with this code.
    pub code: Option<u32>,
}

impl Lane {
    /// For a request that was accepted.
    pub fn new(respond: SendResponse<Bytes>, body: Option<RecvStream>, is_head: bool) -> Lane {
        Lane {
            respond,
            body,
            sending: None,
            out: Outgoing::default(),
            source: Source::Caller,
            is_head,
            has_begun: false,
            is_bodyless: false,
            code: None,
        }
    }

    /// All that there is of a response was handed to the engine.
    pub fn has_sent_all(&self) -> bool {
        self.has_begun && self.out.is_empty()
    }

    /// Begins the response.
    pub fn respond(&mut self, response: http::Response<()>, has_body: bool) -> Outcome {
        if std::mem::replace(&mut self.has_begun, true) {
            return Outcome::Begun;
        }
        //= RFC 9110 6.4.1
        self.is_bodyless = self.is_head || matches!(response.status().as_u16(), 204 | 205 | 304);
        let is_last = self.is_bodyless || !has_body;
        match self.respond.send_response(response, is_last) {
            Ok(sending) if is_last => drop(sending),
            Ok(sending) => self.sending = Some(sending),
            Err(_) => return Outcome::NoStream,
        }
        Outcome::Done
    }

    fn more(&mut self, add: impl FnOnce(&mut Outgoing)) -> Outcome {
        if !self.has_begun {
            return Outcome::NotBegun;
        }
        if self.is_bodyless {
            return Outcome::Done;
        }
        if self.sending.is_none() || self.out.is_closed() {
            return Outcome::Ended;
        }
        add(&mut self.out);
        Outcome::Done
    }

    /// A piece of the response.
    pub fn push(&mut self, bytes: &[u8], is_last: bool) -> Outcome {
        self.more(|out| {
            out.push(Bytes::copy_from_slice(bytes));
            if is_last {
                out.end();
            }
        })
    }

    /// Its end, with trailer fields.
    pub fn trailers(&mut self, fields: HeaderMap) -> Outcome {
        self.more(|out| out.trailers(fields))
    }

    /// Whether the caller wants to be asked for the rest.
    pub fn source(&mut self, is_asked: bool) -> Outcome {
        self.source = if is_asked { Source::Asked } else { Source::Deferred };
        if let (Some(sending), false) = (&mut self.sending, is_asked) {
            // Others may have what it kept of the connection's window.
            sending.reserve_capacity(0);
        }
        Outcome::Done
    }

    /// Resets it.
    pub fn reset(&mut self, code: u32) {
        match &mut self.sending {
            Some(sending) => sending.send_reset(code.into()),
            None => self.respond.send_reset(code.into()),
        }
        self.code.get_or_insert(code);
    }

    /// How much of its response it could send now, where the caller is to be asked for that.
    pub fn room(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        let is_due = self.source == Source::Asked && self.out.is_empty() && !self.out.is_closed();
        let sending = self.sending.as_mut().filter(|_| is_due)?;
        room(cx, sending, PIECE).ok().flatten()
    }

    /// Moves what can move.
    pub fn turn(&mut self, cx: &mut Context<'_>, id: u32, reports: &mut VecDeque<Report>) {
        while let Some(body) = &mut self.body {
            match body.poll_data(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(bytes))) => {
                    // The caller is told of it before it can feed more.
                    let _ = body.flow_control().release_capacity(bytes.len());
                    let is_last = body.is_end_stream();
                    if is_last {
                        self.body = None;
                    }
                    reports.push_back(Report::Body { id, bytes, is_last });
                }
                Poll::Ready(None) => {
                    self.body = None;
                    reports.push_back(Report::Body { id, bytes: Bytes::new(), is_last: true });
                }
                Poll::Ready(Some(Err(error))) => {
                    self.body = None;
                    self.code.get_or_insert(code_of(&error));
                }
            }
        }
        let reset = match &mut self.sending {
            Some(sending) => sending.poll_reset(cx),
            None if !self.has_begun => self.respond.poll_reset(cx),
            None => Poll::Pending,
        };
        if let Poll::Ready(Ok(reason)) = reset {
            self.code.get_or_insert(reason.into());
        }
        if let (Some(sending), None) = (&mut self.sending, self.code) {
            if self.out.flush(cx, sending).is_err() {
                self.code = Some(h2::Reason::CANCEL.into());
            }
        }
    }
}
