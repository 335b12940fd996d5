//! What a client may do, as far as frames tell: the rules that the engine has no, or another,
//! answer for, and the rates that it does not keep.
//!
//! The engine (the h2 crate) knows all that needs header compression, windows or bodies.

use std::time::Instant;

use super::PREFACE;
use super::bucket::Bucket;
use super::frames::{HEAD, Head, KIND, LEAD, Step, Walker, flag, kind};
use super::streams::{Standing, Streams};

/// What ends a connection or a stream: the code for its GOAWAY or RST_STREAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(pub u32);

impl Fault {
    /// Those that a client brings about by what it sends on one stream.
    const OF_STREAMS: [Fault; 3] = [Fault::PROTOCOL, Fault::FLOW_CONTROL, Fault::STREAM_CLOSED];

    const PROTOCOL: Fault = Fault(1);
    const FLOW_CONTROL: Fault = Fault(3);
    const STREAM_CLOSED: Fault = Fault(5);
    const FRAME_SIZE: Fault = Fault(6);
    const CALM: Fault = Fault(11);
}

/// Why the engine may not see all that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What the client did.
    pub fault: Fault,
    /// The one stream that this ends, where it does not end the connection: once it is reset, the
    /// engine may see the rest.
    pub stream: Option<u32>,
    /// How many of the bytes the engine may see now.
    pub good: usize,
    /// How many of them the watch has seen.
    pub seen: usize,
}

impl From<Fault> for (Fault, Option<u32>) {
    fn from(fault: Fault) -> (Fault, Option<u32>) {
        (fault, None)
    }
}

/// Frames that ask for work and bring none, at once and each second: pings, settings, priorities,
/// empty pieces, windows that open although little was sent, and those of unknown kinds. A download
/// over a fast line needs none of them; gRPC pings a few times a second.
const IDLE_FRAMES: (u32, u32) = (2000, 200);

/// What a client may open windows for: each request, and each piece of a response, for the stream
/// and for the connection; and more often where pieces are large, as some do for each 4 KiB read.
const UPDATES: u32 = 2;
const UPDATE_BYTES: u32 = 1024;

/// What a client may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// SETTINGS_MAX_FRAME_SIZE.
    pub frame: u32,
    /// Resets at once, and each second; none for no limit.
    pub resets: Option<(u32, u32)>,
}

/// Sees the frames of one connection.
pub struct Watch {
    limits: Limits,
    inward: Walker,
    outward: Walker,
    streams: Streams,
    resets: Option<Bucket>,
    idle: Bucket,
    /// How often windows may be opened.
    updates: u32,
    /// The stream whose header block is not complete.
    block: Option<u32>,
    has_begun: bool,
    /// Where the kinds of frames are that the engine is not to see, in what came last.
    hidden: Vec<usize>,
    left_since: Option<Instant>,
    partial_since: Option<Instant>,
}

impl Watch {
    /// For a connection that begins.
    pub fn new(limits: Limits) -> Watch {
        Watch {
            limits,
            inward: Walker::new(PREFACE.len() as u32),
            outward: Walker::new(0),
            streams: Streams::default(),
            resets: limits.resets.map(|(burst, rate)| Bucket::new(burst, rate)),
            idle: Bucket::new(IDLE_FRAMES.0, IDLE_FRAMES.1),
            updates: 0,
            block: None,
            has_begun: false,
            hidden: Vec::new(),
            left_since: None,
            partial_since: None,
        }
    }

    /// Since when a header block, or a frame that is no piece of a body, has been incomplete.
    pub fn partial_since(&self) -> Option<Instant> {
        self.partial_since
    }

    /// Since when the client has been about to close.
    pub fn left_since(&self) -> Option<Instant> {
        self.left_since
    }

    /// Whether both sides have ended a stream, or one of them has reset it.
    pub fn is_closed(&self, id: u32) -> bool {
        self.streams.standing(id) == Standing::Closed
    }

    /// Where, in the bytes that came last, the kinds of frames are that the engine is not to see.
    ///
    /// Upon GOAWAY it would close at once; the client may want to do that itself, and has a moment's
    /// time for it. Empty pieces it counts as long as the connection lives, and then gives up.
    pub fn hidden(&self) -> &[usize] {
        &self.hidden
    }

    /// Bytes came.
    pub fn came(&mut self, bytes: &[u8], now: Instant) -> Result<(), Stop> {
        let (mut rest, mut good) = (bytes, 0);
        self.hidden.clear();
        while !rest.is_empty() || self.inward.is_inside() {
            let Some(step) = self.inward.step(&mut rest) else { break };
            let seen = bytes.len() - rest.len();
            self.heed(step, now).map_err(|(fault, stream)| Stop { fault, stream, good, seen })?;
            match step {
                Step::End => good = seen,
                Step::Head(head) if head.kind == kind::GOAWAY => {
                    self.left_since.get_or_insert(now);
                    self.hidden.extend((seen + KIND).checked_sub(HEAD));
                }
                Step::Head(head) if is_empty_piece(head) => {
                    self.hidden.extend((seen + KIND).checked_sub(HEAD));
                }
                _ => {}
            }
        }
        let is_body = self.inward.current().kind == kind::DATA;
        let is_partial = self.block.is_some() || (self.inward.is_inside() && !is_body);
        self.partial_since = is_partial.then(|| self.partial_since.unwrap_or(now));
        Ok(())
    }

    fn heed(&mut self, step: Step, now: Instant) -> Result<(), (Fault, Option<u32>)> {
        match step {
            Step::Head(head) => {
                self.inward.in_full = head.kind == kind::SETTINGS;
                self.sized(head)?;
                self.ordered(head)?;
                self.paced(head, now)?;
                self.standing(head)?;
                self.late(head)
            }
            Step::Lead(lead, have) => Ok(self.payload(lead, have)?),
            Step::End => Ok(self.ended(now)?),
        }
    }

    /// It may go on with a stream that it has not ended.
    fn late(&mut self, head: Head) -> Result<(), (Fault, Option<u32>)> {
        let is_part = matches!(head.kind, kind::HEADERS | kind::DATA);
        if !is_part || self.streams.standing(head.id) != Standing::Ended {
            return Ok(());
        }
        self.streams.reopen(head.id);
        Err((Fault::STREAM_CLOSED, Some(head.id)))
    }

    /// A stream is reset that the server had work with.
    fn reset(&mut self, now: Instant) -> Result<(), Fault> {
        let has_token = self.resets.as_mut().is_none_or(|bucket| bucket.take(now));
        if has_token { Ok(()) } else { Err(Fault::CALM) }
    }

    //= RFC 9113 4.2, 6
    fn sized(&self, head: Head) -> Result<(), Fault> {
        let is_ack = head.has(flag::ACK);
        let fits = match head.kind {
            kind::PRIORITY => head.len == 5,
            kind::RST_STREAM | kind::WINDOW_UPDATE => head.len == 4,
            kind::SETTINGS => head.len % 6 == 0 && !(is_ack && head.len > 0),
            kind::PING => head.len == 8,
            kind::GOAWAY => head.len >= 8,
            kind::DATA | kind::HEADERS => head.len >= least(head),
            _ => true,
        };
        if fits && head.len <= self.limits.frame { Ok(()) } else { Err(Fault::FRAME_SIZE) }
    }

    //= RFC 9113 3.4, 6.2, 6.10
    fn ordered(&mut self, head: Head) -> Result<(), Fault> {
        let is_continuation = head.kind == kind::CONTINUATION;
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let is_settings = head.kind == kind::SETTINGS && !head.has(flag::ACK);
        let expected = match self.block {
            Some(id) => is_continuation && head.id == id,
            None => !is_continuation && (!is_first || is_settings),
        };
        if expected { Ok(()) } else { Err(Fault::PROTOCOL) }
    }

    //= RFC 9113 5.1, 5.1.1
    fn standing(&mut self, head: Head) -> Result<(), Fault> {
        let of_connection = matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        let of_either = head.kind == kind::WINDOW_UPDATE || head.kind > kind::CONTINUATION;
        if head.id == 0 || of_connection {
            let fits = of_either || (of_connection && head.id == 0);
            return if fits { Ok(()) } else { Err(Fault::PROTOCOL) };
        }
        let standing = self.streams.standing(head.id);
        match (head.kind, standing) {
            (kind::PUSH_PROMISE, _) => Err(Fault::PROTOCOL),
            (kind::HEADERS, Standing::Idle) if head.id % 2 == 1 => {
                self.streams.open(head.id);
                self.updates = self.updates.saturating_add(UPDATES);
                Ok(())
            }
            (kind::HEADERS | kind::DATA, Standing::Closed) => Err(Fault::STREAM_CLOSED),
            (kind::HEADERS | kind::DATA, Standing::Idle | Standing::Skipped) => {
                Err(Fault::PROTOCOL)
            }
            (kind::RST_STREAM | kind::WINDOW_UPDATE, Standing::Idle) => Err(Fault::PROTOCOL),
            _ => Ok(()),
        }
    }

    fn paced(&mut self, head: Head, now: Instant) -> Result<(), Fault> {
        let is_idle = match head.kind {
            kind::DATA => is_empty_piece(head),
            kind::PING | kind::SETTINGS => !head.has(flag::ACK),
            kind::PRIORITY => true,
            kind::WINDOW_UPDATE => {
                let is_due = self.updates > 0;
                self.updates = self.updates.saturating_sub(1);
                !is_due
            }
            other => other > kind::CONTINUATION,
        };
        if is_idle && !self.idle.take(now) { Err(Fault::CALM) } else { Ok(()) }
    }

    fn payload(&self, lead: [u8; LEAD], have: usize) -> Result<(), Fault> {
        let head = self.inward.current();
        let number = u32::from_be_bytes([lead[0], lead[1], lead[2], lead[3]]);
        let value = u32::from_be_bytes([lead[2], lead[3], lead[4], lead[5]]);
        match head.kind {
            kind::DATA | kind::HEADERS if head.has(flag::PADDED) => {
                //= RFC 9113 6.1, 6.2
                let fits = have > 0 && u32::from(lead[0]) < head.len;
                if fits { Ok(()) } else { Err(Fault::PROTOCOL) }
            }
            kind::WINDOW_UPDATE if number & 0x7fff_ffff == 0 => Err(Fault::PROTOCOL),
            kind::SETTINGS if have == LEAD => {
                setting(u16::from_be_bytes([lead[0], lead[1]]), value)
            }
            _ => Ok(()),
        }
    }

    fn ended(&mut self, now: Instant) -> Result<(), Fault> {
        let head = self.inward.current();
        match head.kind {
            kind::HEADERS | kind::CONTINUATION => {
                self.block = (!head.has(flag::END_HEADERS)).then_some(head.id);
                if head.kind == kind::HEADERS && head.has(flag::END_STREAM) {
                    self.streams.client_ended(head.id);
                }
            }
            kind::DATA if head.has(flag::END_STREAM) => self.streams.client_ended(head.id),
            kind::RST_STREAM if self.streams.client_reset(head.id) => return self.reset(now),
            _ => {}
        }
        Ok(())
    }

    /// Bytes left. A client that makes the server reset its streams costs as much as one that does so
    /// itself.
    pub fn left(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Fault> {
        let mut outcome = Ok(());
        while !bytes.is_empty() || self.outward.is_inside() {
            let Some(step) = self.outward.step(&mut bytes) else { break };
            let head = self.outward.current();
            match (step, head.kind) {
                (Step::Lead([a, b, c, d, ..], _), kind::RST_STREAM) => {
                    let code = Fault(u32::from_be_bytes([a, b, c, d]));
                    if self.streams.server_reset(head.id) && Fault::OF_STREAMS.contains(&code) {
                        outcome = outcome.and(self.reset(now));
                    }
                }
                (Step::End, kind::DATA | kind::HEADERS) => {
                    let updates = UPDATES + head.len / UPDATE_BYTES;
                    self.updates = self.updates.saturating_add(updates);
                    if head.has(flag::END_STREAM) {
                        self.streams.server_ended(head.id);
                    }
                }
                _ => {}
            }
        }
        outcome
    }
}

/// A piece of a body that brings nothing, not even its end.
fn is_empty_piece(head: Head) -> bool {
    head.kind == kind::DATA && head.len == 0 && !head.has(flag::END_STREAM)
}

/// How long a frame is that has what its flags promise.
fn least(head: Head) -> u32 {
    let has_priority = head.kind == kind::HEADERS && head.has(flag::PRIORITY);
    u32::from(head.has(flag::PADDED)) + if has_priority { 5 } else { 0 }
}

//= RFC 9113 6.5.2
//= RFC 8441 3
fn setting(name: u16, value: u32) -> Result<(), Fault> {
    match name {
        2 | 8 if value > 1 => Err(Fault::PROTOCOL),
        4 if value > 0x7fff_ffff => Err(Fault::FLOW_CONTROL),
        5 if !(16_384..=16_777_215).contains(&value) => Err(Fault::PROTOCOL),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
