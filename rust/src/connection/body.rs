//! A request body as its connection reads it: framing taken off, limits kept.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::Instant;

use crate::wire::h1::chunked::Chunked;
use crate::wire::{Body, Refusal};

/// Largest piece handed to the application.
const PIECE: usize = 65_536;

/// Unread bytes of a body that are read and dropped so that the connection can live on.
pub const DRAIN_BOUND: u64 = 65_536;

/// A body is never too slow at this many bytes a second: less than the slowest of modems.
const SLOWEST: u64 = 240;

/// A client may keep the application waiting for its body for this many idle timeouts, and for
/// what [`SLOWEST`] takes: so bytes that trickle hold no slot for long, and long bodies live.
const BODY_PATIENCE: u32 = 2;

/// How much of a body came.
pub struct Meter {
    seen: u64,
    limit: Option<u64>,
}

impl Meter {
    /// For a body of at most `limit` bytes.
    pub fn new(limit: Option<u64>) -> Meter {
        Meter { seen: 0, limit }
    }

    /// So many bytes more.
    pub fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.seen += bytes as u64;
        match self.limit {
            Some(limit) if self.seen > limit => Err(Refusal::PayloadTooLarge),
            _ => Ok(()),
        }
    }

    /// How long the application may have been kept waiting for what came so far.
    pub fn patience(&self, timeout: Duration) -> Duration {
        timeout * BODY_PATIENCE + Duration::from_secs(self.seen / SLOWEST)
    }
}

/// How long the application has been waiting for its body.
#[derive(Default)]
pub struct Pace {
    /// Since when it has been waiting for more, as last seen.
    pub starved: Option<Instant>,
    /// How long it waited for the pieces that came.
    pub waited: Duration,
}

impl Pace {
    /// When its client has kept it waiting for too long: without a byte since `last_input`, or
    /// with too few. None while it is not waiting.
    pub fn deadline(
        &self,
        meter: &Meter,
        timeout: Duration,
        last_input: Instant,
    ) -> Option<Instant> {
        let since = self.starved?;
        let silence = since.max(last_input) + timeout;
        let left = meter.patience(timeout).saturating_sub(self.waited);
        Some(silence.min(since + left))
    }

    /// A piece came for which it was waiting since then, if it was.
    pub fn came(&mut self, since: Option<std::time::Instant>) {
        self.waited += since.map_or(Duration::ZERO, |since| since.elapsed());
    }
}

/// What is left of a body.
pub struct Reader {
    /// How much of it came.
    pub meter: Meter,
    left: Left,
}

enum Left {
    Nothing,
    Length(u64),
    Chunked(Chunked),
    /// Its framing or its size was refused: what follows cannot be understood.
    Refused,
}

/// What came out of the buffer.
pub enum Outcome {
    /// A piece of the body.
    Piece(Bytes),
    /// More input is needed.
    Need,
    /// The body is over.
    Done,
}

impl Reader {
    /// A reader for a body of this kind, at most `limit` bytes long.
    pub fn new(body: Body, limit: Option<u64>) -> Reader {
        let left = match body {
            Body::None => Left::Nothing,
            Body::Length(n) => Left::Length(n),
            Body::Chunked => Left::Chunked(Chunked::default()),
        };
        Reader { meter: Meter::new(limit), left }
    }

    /// All of it was read.
    pub fn is_done(&self) -> bool {
        match &self.left {
            Left::Nothing | Left::Length(0) => true,
            Left::Length(_) | Left::Refused => false,
            Left::Chunked(chunked) => chunked.is_done(),
        }
    }

    /// There is more of it to read.
    pub fn is_open(&self) -> bool {
        !self.is_done() && !matches!(self.left, Left::Refused)
    }

    /// More than is worth reading for the sake of the connection, as far as is known.
    pub fn is_long(&self) -> bool {
        matches!(self.left, Left::Length(n) if n > DRAIN_BOUND)
    }

    /// Nothing more is to be read of it.
    pub fn refuse(&mut self) {
        self.left = Left::Refused;
    }

    /// Takes the next piece from the front of `buf`.
    pub fn read(&mut self, buf: &mut BytesMut) -> Result<Outcome, Refusal> {
        let read = self.next(buf);
        if read.is_err() {
            self.refuse();
        }
        read
    }

    fn next(&mut self, buf: &mut BytesMut) -> Result<Outcome, Refusal> {
        if self.is_done() {
            return Ok(Outcome::Done);
        }
        let data = match &mut self.left {
            Left::Nothing | Left::Refused => 0,
            Left::Length(left) => {
                let data = buf.len().min(PIECE).min(usize::try_from(*left).unwrap_or(PIECE));
                *left -= data as u64;
                data
            }
            Left::Chunked(chunked) => {
                // A step can yield more than a piece only if the buffer holds more.
                let end = buf.len().min(PIECE);
                let step = chunked.step(&buf[..end])?;
                buf.advance(step.framing);
                step.data
            }
        };
        self.meter.count(data)?;
        if data == 0 {
            return Ok(if self.is_done() { Outcome::Done } else { Outcome::Need });
        }
        Ok(Outcome::Piece(Bytes::copy_from_slice(&buf[..data]))).inspect(|_| buf.advance(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(body: Body, limit: Option<u64>, input: &[u8]) -> Result<(Vec<u8>, bool), Refusal> {
        let (mut reader, mut out) = (Reader::new(body, limit), Vec::new());
        let mut buf = BytesMut::from(input);
        loop {
            match reader.read(&mut buf)? {
                Outcome::Piece(piece) => out.extend_from_slice(&piece),
                Outcome::Need => return Ok((out, false)),
                Outcome::Done => return Ok((out, true)),
            }
        }
    }

    #[test]
    fn a_length_is_read_exactly() {
        assert_eq!(read_all(Body::Length(3), None, b"abcGET"), Ok((b"abc".to_vec(), true)));
        assert_eq!(read_all(Body::Length(3), None, b"ab"), Ok((b"ab".to_vec(), false)));
    }

    #[test]
    fn patience_grows_with_what_came() {
        let mut reader = Reader::new(Body::Chunked, None);
        let timeout = Duration::from_secs(60);
        assert_eq!(reader.meter.patience(timeout), Duration::from_secs(120));
        assert!(reader.read(&mut BytesMut::from(&b"f0\r\n"[..])).is_ok());
        assert_eq!(
            reader.meter.patience(timeout),
            Duration::from_secs(120),
            "framing is no progress"
        );
        assert!(reader.read(&mut BytesMut::from(&[b'x'; 240][..])).is_ok());
        assert_eq!(reader.meter.patience(timeout), Duration::from_secs(121));
    }

    #[test]
    fn the_limit_counts_decoded_bytes() {
        let input = b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
        assert_eq!(read_all(Body::Chunked, Some(6), input), Ok((b"abcdef".to_vec(), true)));
        assert_eq!(read_all(Body::Chunked, Some(5), input), Err(Refusal::PayloadTooLarge));
    }
}
