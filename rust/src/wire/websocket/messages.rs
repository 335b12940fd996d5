//! The message layer: frames to messages, within limits, with the text checked as it streams.
//= RFC 6455 5.4, 5.5, 8.1

use bytes::Bytes;

use super::close::{self, Close};
use super::deflate::{Agreement, Inflater};
use super::frames::{self, Header, Kind, MOST_HEADER, Rules};
use super::{TOO_BIG, Violation, protocol};

/// Most bytes that are reserved for a frame because its header promises them.
const RESERVE: u64 = 64 * 1024;

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message of text.
    Text(String),
    /// A message of bytes.
    Binary(Bytes),
    /// A ping and its payload.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// The peer's Close.
    Close(Close),
}

/// Reads a client's frames.
#[derive(Debug)]
pub struct Reader {
    rules: Rules,
    most_message: usize,
    inflater: Option<Inflater>,
    /// The beginning of a header that is not complete.
    header: Vec<u8>,
    frame: Option<(Header, u64)>,
    /// The payload of a control frame.
    control: Vec<u8>,
    message: Option<Message>,
}

/// A message that is on its way.
#[derive(Debug)]
struct Message {
    is_text: bool,
    is_compressed: bool,
    bytes: Vec<u8>,
    /// How much of the text is known to be UTF-8.
    checked: usize,
}

impl Reader {
    /// A reader; `most_frame` and `most_message` are the limits in bytes.
    pub fn new(most_frame: u64, most_message: usize, agreed: Option<Agreement>) -> Reader {
        Reader {
            rules: Rules { most_frame, may_compress: agreed.is_some() },
            most_message,
            inflater: agreed.map(Inflater::new),
            header: Vec::new(),
            frame: None,
            control: Vec::new(),
            message: None,
        }
    }

    /// Takes from the front of `input` until something is complete or nothing is left.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, Violation> {
        loop {
            let (header, seen) = match self.frame {
                Some(frame) => frame,
                None => match self.begin(input)? {
                    Some(header) => (header, 0),
                    None => return Ok(None),
                },
            };
            let left = usize::try_from(header.len - seen).unwrap_or(usize::MAX);
            let (piece, rest) = input.split_at(left.min(input.len()));
            *input = rest;
            self.take(header, seen, piece)?;
            let seen = seen + piece.len() as u64;
            self.frame = (seen < header.len).then_some((header, seen));
            if self.frame.is_some() {
                return Ok(None);
            }
            if let Some(incoming) = self.finish(header)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Reads a header, which may have come in parts.
    fn begin(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Violation> {
        let before = self.header.len();
        let joined: &[u8] = if before == 0 {
            input
        } else {
            self.header.extend(input.iter().take(MOST_HEADER - before));
            &self.header
        };
        let Some((header, used)) = frames::parse(joined, self.rules)? else {
            if before == 0 {
                self.header = input.to_vec();
            }
            *input = &[];
            return Ok(None);
        };
        *input = &input[used - before..];
        self.header = Vec::new();
        if !header.kind.is_control() {
            self.begin_data(header)?;
        }
        Ok(Some(header))
    }

    fn begin_data(&mut self, header: Header) -> Result<(), Violation> {
        match (&self.message, header.kind) {
            (None, Kind::Continue) => return Err(protocol("Unexpected continuation frame")),
            (Some(_), Kind::Text | Kind::Binary) => {
                return Err(protocol("Expected a continuation frame"));
            }
            _ => {}
        }
        let message = self.message.get_or_insert(Message {
            is_text: header.kind == Kind::Text,
            is_compressed: header.is_compressed,
            bytes: Vec::new(),
            checked: 0,
        });
        if !message.is_compressed {
            if header.len > self.most_message.saturating_sub(message.bytes.len()) as u64 {
                return Err(TOO_BIG);
            }
            message.bytes.reserve(header.len.min(RESERVE) as usize);
        }
        Ok(())
    }

    /// Takes a piece of a payload.
    fn take(&mut self, header: Header, seen: u64, piece: &[u8]) -> Result<(), Violation> {
        if header.kind.is_control() {
            let start = self.control.len();
            self.control.extend_from_slice(piece);
            frames::unmask(&mut self.control[start..], header.mask, seen);
            return Ok(());
        }
        let Some(message) = &mut self.message else { return Ok(()) };
        if let (true, Some(inflater)) = (message.is_compressed, &mut self.inflater) {
            let mut plain = piece.to_vec();
            frames::unmask(&mut plain, header.mask, seen);
            inflater.inflate(&plain, &mut message.bytes, self.most_message)?;
        } else {
            let start = message.bytes.len();
            message.bytes.extend_from_slice(piece);
            frames::unmask(&mut message.bytes[start..], header.mask, seen);
        }
        // The end of a message is looked at with all that came before.
        if header.is_final && seen + piece.len() as u64 == header.len {
            return Ok(());
        }
        message.check()
    }

    /// A frame is complete.
    fn finish(&mut self, header: Header) -> Result<Option<Incoming>, Violation> {
        if header.kind.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Some(match header.kind {
                Kind::Close => Incoming::Close(close::parse(&payload)?),
                Kind::Ping => Incoming::Ping(payload),
                _ => Incoming::Pong,
            }));
        }
        let complete = if header.is_final { self.message.take() } else { None };
        let Some(mut message) = complete else { return Ok(None) };
        if let (true, Some(inflater)) = (message.is_compressed, &mut self.inflater) {
            inflater.finish(&mut message.bytes, self.most_message)?;
        }
        message.incoming().map(Some)
    }
}

/// Text that is no UTF-8.
const NOT_UTF8: Violation = Violation { code: 1007, text: "Invalid UTF-8" };

impl Message {
    /// Looks at what is new of a text. A sequence that the end of a piece cuts may go on.
    fn check(&mut self) -> Result<(), Violation> {
        if !self.is_text {
            return Ok(());
        }
        match std::str::from_utf8(&self.bytes[self.checked..]) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_some() => return Err(NOT_UTF8),
            Err(error) => self.checked += error.valid_up_to(),
        }
        Ok(())
    }

    fn incoming(self) -> Result<Incoming, Violation> {
        if self.is_text {
            return String::from_utf8(self.bytes).map(Incoming::Text).map_err(|_| NOT_UTF8);
        }
        Ok(Incoming::Binary(self.bytes.into()))
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
