//! What a client may do, as far as frames tell: the rules that the engine has no, or another,
//! answer for, and the rates that it does not keep.
//!
//! The engine (the h2 crate) knows all that needs header compression, windows or bodies.

use std::time::Instant;

use super::PREFACE;
use super::bucket::Bucket;
use super::frames::{Head, LEAD, Step, Walker, flag, kind};
use super::streams::{Standing, Streams};

/// What ends a connection: the code for its GOAWAY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(pub u32);

impl Fault {
    const PROTOCOL: Fault = Fault(1);
    const FLOW_CONTROL: Fault = Fault(3);
    const STREAM_CLOSED: Fault = Fault(5);
    const FRAME_SIZE: Fault = Fault(6);
    const CALM: Fault = Fault(11);
}

/// Frames that ask for work and bring none, at once and each second: pings, settings, priorities,
/// empty pieces, and those of unknown kinds. A download over a fast line needs none of them; gRPC
/// pings a few times a second.
const IDLE_FRAMES: (u32, u32) = (2000, 200);

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
    /// The stream whose header block is not complete.
    block: Option<u32>,
    has_begun: bool,
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
            block: None,
            has_begun: false,
            partial_since: None,
        }
    }

    /// Since when a header block, or a frame that is no piece of a body, has been incomplete.
    pub fn partial_since(&self) -> Option<Instant> {
        self.partial_since
    }

    /// Bytes came. An error tells how many of them are still good.
    pub fn came(&mut self, bytes: &[u8], now: Instant) -> Result<(), (Fault, usize)> {
        let (mut rest, mut good) = (bytes, 0);
        while !rest.is_empty() || self.inward.is_inside() {
            let Some(step) = self.inward.step(&mut rest) else { break };
            let is_end = step == Step::End;
            self.heed(step, now).map_err(|fault| (fault, good))?;
            if is_end {
                good = bytes.len() - rest.len();
            }
        }
        let is_body = self.inward.current().kind == kind::DATA;
        let is_partial = self.block.is_some() || (self.inward.is_inside() && !is_body);
        self.partial_since = is_partial.then(|| self.partial_since.unwrap_or(now));
        Ok(())
    }

    fn heed(&mut self, step: Step, now: Instant) -> Result<(), Fault> {
        match step {
            Step::Head(head) => {
                self.inward.in_full = head.kind == kind::SETTINGS;
                self.sized(head)?;
                self.ordered(head)?;
                self.standing(head)?;
                self.paced(head, now)
            }
            Step::Lead(lead, have) => self.payload(lead, have),
            Step::End => self.ended(now),
        }
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
                Ok(())
            }
            // A second header block is that of the trailers, which end the stream.
            (kind::HEADERS, Standing::Open) if !head.has(flag::END_STREAM) => Err(Fault::PROTOCOL),
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
            kind::DATA => head.len == 0 && !head.has(flag::END_STREAM),
            kind::PING | kind::SETTINGS => !head.has(flag::ACK),
            kind::PRIORITY => true,
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
            kind::RST_STREAM if self.streams.client_reset(head.id) => {
                let has_token = self.resets.as_mut().is_none_or(|bucket| bucket.take(now));
                return if has_token { Ok(()) } else { Err(Fault::CALM) };
            }
            _ => {}
        }
        Ok(())
    }

    /// Bytes left.
    pub fn left(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() || self.outward.is_inside() {
            match self.outward.step(&mut bytes) {
                None => return,
                Some(Step::End) => {
                    let head = self.outward.current();
                    match head.kind {
                        kind::RST_STREAM => self.streams.server_reset(head.id),
                        kind::DATA | kind::HEADERS if head.has(flag::END_STREAM) => {
                            self.streams.server_ended(head.id);
                        }
                        _ => {}
                    }
                }
                Some(_) => {}
            }
        }
    }
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
