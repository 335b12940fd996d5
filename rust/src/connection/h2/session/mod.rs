//! An HTTP/2 server without a connection: bytes in, bytes out, and between them what its streams do.
//!
//! The engine, and the watch over what it reads and writes, are those of a connection. There is no
//! task and no runtime: each call polls until nothing moves any more.

mod lane;

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::ext::Protocol;
use h2::server::SendResponse;
use http::Request;

use super::Engine;
use super::carrier::{Carrier, Ends};
use crate::config::Config;
use crate::wire::Fields;
use crate::wire::h2::{request, response};
use lane::Lane;
pub use lane::Outcome;

/// A GOAWAY frame before its code: no stream was looked at.
//= RFC 9113 6.8
const GOAWAY: [u8; 13] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What happened on a stream.
#[derive(Debug)]
pub enum Report {
    /// A request came.
    Request {
        /// Its stream.
        id: u32,
        /// The pseudo-header fields and the others.
        lines: Fields,
        /// A body, perhaps an empty one, follows.
        has_body: bool,
    },
    /// A piece of its body came.
    Body {
        /// Its stream.
        id: u32,
        /// The piece.
        bytes: Bytes,
        /// Nothing follows.
        is_last: bool,
    },
    /// The stream is over.
    Closed {
        /// Which.
        id: u32,
        /// Why: 0 where both sides have ended it.
        code: u32,
    },
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One session.
pub struct Session {
    carrier: Carrier,
    engine: Engine,
    lanes: BTreeMap<u32, Lane>,
    reports: VecDeque<Report>,
    woken: Arc<Woken>,
    /// Who was asked last for a piece of a response: the next one follows it.
    asked: u32,
    /// The code of the GOAWAY that ends it.
    farewell: Option<u32>,
}

impl Session {
    /// A session with these settings; its own first frame waits to be fetched.
    pub fn new(config: &Config) -> Session {
        let ends = Ends::Memory(Vec::new());
        let carrier = Carrier::new(ends, BytesMut::new(), super::watch(config));
        let mut session = Session {
            engine: Engine::Shaking(super::builder(config).handshake(carrier.clone())),
            carrier,
            lanes: BTreeMap::new(),
            reports: VecDeque::new(),
            woken: Arc::default(),
            asked: 0,
            farewell: None,
        };
        session.step();
        session
    }

    /// Takes what the client sent; returns how many bytes of it were wanted.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        if !self.wants_read() {
            return 0;
        }
        self.carrier.line().early.extend_from_slice(bytes);
        self.step();
        bytes.len()
    }

    /// What happened since, in order.
    pub fn report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// What is to be sent to the client.
    pub fn take(&mut self) -> Vec<u8> {
        let taken = match &mut self.carrier.line().io {
            Ends::Memory(written) => std::mem::take(written),
            Ends::Io(_) => Vec::new(),
        };
        // There may have been no room for more.
        self.step();
        taken
    }

    /// Whether more of the client's bytes are of any use.
    pub fn wants_read(&self) -> bool {
        let is_open = !matches!(self.engine, Engine::Gone) && self.farewell.is_none();
        is_open && (!self.lanes.is_empty() || self.carrier.line().watch.left_since().is_none())
    }

    /// Whether something is to be sent.
    pub fn wants_write(&mut self) -> bool {
        let has_bytes = match &self.carrier.line().io {
            Ends::Memory(written) => !written.is_empty(),
            Ends::Io(_) => false,
        };
        has_bytes || self.hungry(false).is_some()
    }

    /// The stream whose response may go on, and by how many bytes.
    pub fn ask(&mut self) -> Option<(u32, usize)> {
        self.hungry(true)
    }

    fn hungry(&mut self, is_to_ask: bool) -> Option<(u32, usize)> {
        let waker = Waker::from(self.woken.clone());
        let mut cx = Context::from_waker(&waker);
        let after = self.lanes.range_mut(self.asked + 1..);
        let found = after.filter_map(|(id, lane)| Some((*id, lane.room(&mut cx)?))).next();
        let found = found.or_else(|| {
            let before = self.lanes.range_mut(..=self.asked);
            before.filter_map(|(id, lane)| Some((*id, lane.room(&mut cx)?))).next()
        });
        if let (Some((id, _)), true) = (found, is_to_ask) {
            self.asked = id;
        }
        found
    }

    /// Begins a response. It ends with its head, or the caller gives its body: unasked or asked.
    pub fn respond(&mut self, id: u32, status: u16, fields: &Fields, has_body: bool) -> Outcome {
        let Some(response) = response::plain(status, fields) else {
            return Outcome::TooManyFields;
        };
        self.with(id, |lane| lane.respond(response, has_body))
    }

    /// A piece of a response.
    pub fn push(&mut self, id: u32, bytes: &[u8], is_last: bool) -> Outcome {
        self.with(id, |lane| lane.push(bytes, is_last))
    }

    /// The end of a response, with trailer fields.
    pub fn trailers(&mut self, id: u32, fields: &Fields) -> Outcome {
        let Some(trailers) = response::trailers(fields) else { return Outcome::TooManyFields };
        self.with(id, |lane| lane.trailers(trailers))
    }

    /// Whether the caller wants to be asked for the rest of a response.
    pub fn source(&mut self, id: u32, is_asked: bool) -> Outcome {
        self.with(id, |lane| lane.source(is_asked))
    }

    /// Resets a stream.
    pub fn reset(&mut self, id: u32, code: u32) -> Outcome {
        self.with(id, |lane| {
            lane.reset(code);
            Outcome::Done
        })
    }

    /// Ends the session with a GOAWAY.
    pub fn terminate(&mut self, code: u32) {
        if self.farewell.is_some() || matches!(self.engine, Engine::Gone) {
            return;
        }
        self.farewell = Some(code);
        match &mut self.engine {
            Engine::Open(open) => open.abrupt_shutdown(code.into()),
            _ => self.ended(code),
        }
        self.step();
    }

    fn with(&mut self, id: u32, run: impl FnOnce(&mut Lane) -> Outcome) -> Outcome {
        let Some(lane) = self.lanes.get_mut(&id) else { return Outcome::NoStream };
        let outcome = run(lane);
        self.step();
        outcome
    }

    /// Moves everything that can move.
    fn step(&mut self) {
        let waker = Waker::from(self.woken.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            self.woken.0.store(false, Ordering::Relaxed);
            let moved = self.turn_engine(&mut cx) | self.turn_lanes(&mut cx);
            self.carrier.hand_on(&mut cx);
            let is_more =
                self.woken.0.load(Ordering::Relaxed) || self.carrier.line().is_round_full();
            if !(moved || is_more) {
                return;
            }
        }
    }

    fn turn_engine(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        self.carrier.line().begin_round();
        loop {
            match &mut self.engine {
                Engine::Gone => return moved,
                Engine::Shaking(shaking) => match Pin::new(shaking).poll(cx) {
                    Poll::Pending => return moved,
                    Poll::Ready(Ok(open)) => self.engine = Engine::Open(open),
                    Poll::Ready(Err(error)) => self.ended(code_of(&error)),
                },
                Engine::Open(open) => match open.poll_accept(cx) {
                    Poll::Pending if self.heed_watch() => {}
                    Poll::Pending => return moved,
                    Poll::Ready(Some(Ok((request, respond)))) => self.accept(request, respond),
                    Poll::Ready(Some(Err(error))) => self.ended(code_of(&error)),
                    Poll::Ready(None) => self.ended(0),
                },
            }
            moved = true;
        }
    }

    /// What the watch has against the client.
    fn heed_watch(&mut self) -> bool {
        let mut line = self.carrier.line();
        let (late, fault) = (line.late.take(), line.fault);
        drop(line);
        if let Some((id, fault)) = late {
            match self.lanes.get_mut(&id) {
                Some(lane) => lane.reset(fault.0),
                None => self.carrier.line().fault = Some(fault),
            }
            return true;
        }
        match (fault, &mut self.engine) {
            (Some(fault), Engine::Open(open)) if self.farewell.is_none() => {
                self.farewell = Some(fault.0);
                open.abrupt_shutdown(fault.0.into());
                true
            }
            _ => false,
        }
    }

    fn accept(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let (parts, body) = request.into_parts();
        if request::is_malformed(&parts) {
            return respond.send_reset(h2::Reason::PROTOCOL_ERROR);
        }
        let id = respond.stream_id().as_u32();
        let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
        let has_body = !body.is_end_stream();
        let lines = request::lines(&parts, protocol);
        self.reports.push_back(Report::Request { id, lines, has_body });
        let body = Some(body).filter(|_| has_body);
        self.lanes.insert(id, Lane::new(respond, body, parts.method == http::Method::HEAD));
    }

    fn turn_lanes(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.reports.len();
        for (id, lane) in &mut self.lanes {
            lane.turn(cx, *id, &mut self.reports);
        }
        let line = self.carrier.line();
        let reports = &mut self.reports;
        self.lanes.retain(|id, lane| {
            let is_over = lane.has_sent_all() && line.watch.is_closed(*id);
            let code = lane.code.or(is_over.then_some(0));
            reports.extend(code.map(|code| Report::Closed { id: *id, code }));
            code.is_none()
        });
        self.reports.len() > before
    }

    /// The engine has ended, and all streams with it.
    fn ended(&mut self, code: u32) {
        if let Engine::Shaking(_) = self.engine {
            // It says nothing to a client that does not speak the protocol.
            let mut line = self.carrier.line();
            if let Ends::Memory(written) = &mut line.io {
                written.extend_from_slice(&GOAWAY);
                written.extend_from_slice(&code.to_be_bytes());
            }
        }
        self.engine = Engine::Gone;
        let code = *self.farewell.get_or_insert(code);
        for (id, lane) in std::mem::take(&mut self.lanes) {
            self.reports.push_back(Report::Closed { id, code: lane.code.unwrap_or(code) });
        }
    }
}

fn code_of(error: &h2::Error) -> u32 {
    error.reason().unwrap_or(h2::Reason::INTERNAL_ERROR).into()
}
