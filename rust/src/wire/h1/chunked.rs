//! The chunked transfer coding, decoded as the bytes come.
//= RFC 9112 7.1

use crate::wire::Refusal;
use crate::wire::fields::is_tchar;

/// Largest chunk in bytes: what the codec's documentation promises.
pub const MAX_CHUNK: u64 = 10_485_760;

/// Most hex digits of a chunk size.
const MAX_DIGITS: u32 = 7;

/// Most bytes of all chunk extensions of a body together, and of all its trailer fields: what a
/// peer may send beside the body that `max_body_size` counts.
const MAX_EXTRA: usize = 8192;

/// ```text
/// Size --digits--> Pad --";"--> Extension --CRLF--> Data --n bytes--> DataEnd --CRLF--> Size
///   +----------------CR------------^   |  size 0
///                                      +--CRLF--> Trailer --empty line--> Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u32 },
    Pad { size: u64 },
    Extension { size: u64, quote: Quote },
    ExtensionEnd { size: u64 },
    Data { left: u64 },
    DataEnd,
    DataEndLf,
    Trailer(Place),
    Done,
}

/// Where in a quoted-string a chunk extension is: a line end in one would be read differently by a
/// recipient that honours quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    Outside,
    Inside,
    Escaped,
}

/// Where in a trailer line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Name,
    Value,
    LineEnd,
    LastEnd,
}

/// Decodes one body.
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    max_chunk: u64,
    extra: usize,
}

/// What lies at the front of the buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes of framing, to be dropped.
    pub framing: usize,
    /// Bytes of the body, behind the framing.
    pub data: usize,
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked::new(MAX_CHUNK)
    }
}

impl Chunked {
    /// A decoder that refuses chunks above `max_chunk` bytes.
    pub fn new(max_chunk: u64) -> Chunked {
        Chunked { state: State::Size { size: 0, digits: 0 }, max_chunk, extra: 0 }
    }

    /// The last chunk and its trailers are over.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The next byte begins a chunk size.
    pub fn is_between_chunks(&self) -> bool {
        self.state == State::Size { size: 0, digits: 0 }
    }

    /// Consumes framing up to the next body bytes. Nothing consumed means that more input is
    /// needed, or that the body is over.
    pub fn step(&mut self, buf: &[u8]) -> Result<Step, Refusal> {
        let mut at = 0;
        while at < buf.len() {
            if let State::Data { left } = self.state {
                let data = left.min((buf.len() - at) as u64);
                let rest = left - data;
                self.state = if rest == 0 { State::DataEnd } else { State::Data { left: rest } };
                return Ok(Step { framing: at, data: data as usize });
            }
            if self.state == State::Done {
                break;
            }
            self.state = self.next(buf[at])?;
            at += 1;
        }
        Ok(Step { framing: at, data: 0 })
    }

    fn next(&mut self, byte: u8) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) => self.size(size, digits, byte),
            (State::Pad { size }, b' ' | b'\t') => self.extra(State::Pad { size }),
            (State::Pad { size }, b';') => {
                self.extra(State::Extension { size, quote: Quote::Outside })
            }
            (State::Extension { size, quote: Quote::Outside }, b'\r') => {
                Ok(State::ExtensionEnd { size })
            }
            (State::Extension { size, quote }, _) if !is_control(byte) => {
                self.extra(State::Extension { size, quote: quoted(quote, byte) })
            }
            (State::ExtensionEnd { size: 0 }, b'\n') => {
                self.extra = 0;
                Ok(State::Trailer(Place::Start))
            }
            (State::ExtensionEnd { size }, b'\n') => Ok(State::Data { left: size }),
            (State::DataEnd, b'\r') => Ok(State::DataEndLf),
            (State::DataEndLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::Trailer(place), _) => {
                self.extra += 1;
                if self.extra > MAX_EXTRA {
                    return Err(Refusal::HeaderFieldsTooLarge);
                }
                trailer(place, byte)
            }
            _ => Err(Refusal::BadChunk),
        }
    }

    /// Goes on within an extension, if that has not become too long.
    fn extra(&mut self, state: State) -> Result<State, Refusal> {
        self.extra += 1;
        if self.extra > MAX_EXTRA { Err(Refusal::BadChunk) } else { Ok(state) }
    }

    fn size(&mut self, size: u64, digits: u32, byte: u8) -> Result<State, Refusal> {
        if let Some(digit) = (byte as char).to_digit(16) {
            if digits >= MAX_DIGITS {
                return Err(Refusal::ChunkTooLarge);
            }
            return Ok(State::Size { size: size * 16 + u64::from(digit), digits: digits + 1 });
        }
        if digits == 0 {
            return Err(Refusal::BadChunk);
        }
        if size > self.max_chunk {
            return Err(Refusal::ChunkTooLarge);
        }
        match byte {
            b'\r' => Ok(State::ExtensionEnd { size }),
            b';' => self.extra(State::Extension { size, quote: Quote::Outside }),
            // Blanks may only lead to an extension: what else follows a size is not part of it.
            b' ' | b'\t' => self.extra(State::Pad { size }),
            _ => Err(Refusal::BadChunk),
        }
    }
}

fn quoted(quote: Quote, byte: u8) -> Quote {
    match (quote, byte) {
        (Quote::Outside, b'"') | (Quote::Escaped, _) => Quote::Inside,
        (Quote::Inside, b'"') => Quote::Outside,
        (Quote::Inside, b'\\') => Quote::Escaped,
        (quote, _) => quote,
    }
}

/// Trailer fields are dropped, but each line must be one: a request hidden there would be served
/// by a recipient that stops at the last chunk.
fn trailer(place: Place, byte: u8) -> Result<State, Refusal> {
    let next = match (place, byte) {
        (Place::Start, b'\r') => Place::LastEnd,
        (Place::Start | Place::Name, _) if is_tchar(byte) => Place::Name,
        (Place::Name, b':') => Place::Value,
        (Place::Value, b'\r') => Place::LineEnd,
        (Place::Value, _) if !is_control(byte) => Place::Value,
        (Place::LineEnd, b'\n') => Place::Start,
        (Place::LastEnd, b'\n') => return Ok(State::Done),
        _ => return Err(Refusal::BadRequest),
    };
    Ok(State::Trailer(next))
}

fn is_control(byte: u8) -> bool {
    byte != b'\t' && byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool), Refusal> {
        let (mut chunked, mut body, mut at) = (Chunked::default(), Vec::new(), 0);
        let mut end = piece.min(input.len());
        loop {
            let step = chunked.step(&input[at..end])?;
            let data = at + step.framing;
            body.extend_from_slice(&input[data..data + step.data]);
            at = data + step.data;
            if step == Step::default() || chunked.is_done() {
                if end == input.len() || chunked.is_done() {
                    return Ok((body, at, chunked.is_done()));
                }
                end = (end + piece).min(input.len());
            }
        }
    }

    #[test]
    fn decodes_alike_in_every_split() {
        let input = b"5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: v\r\n\r\nGET";
        for piece in 1..=input.len() {
            let (body, used, done) = decode(input, piece).expect("valid");
            assert_eq!((&body[..], used, done), (&b"hello0123456789"[..], input.len() - 3, true));
        }
    }

    #[test]
    fn refuses_what_another_recipient_would_read_otherwise() {
        let refusal = |input: &str| decode(input.as_bytes(), 1).err();
        for size in ["5 6", "5 x", "5 ", "5;a=\"b", "5\t0x5"] {
            assert_eq!(refusal(&format!("{size}\r\nhello\r\n")), Some(Refusal::BadChunk), "{size}");
        }
        assert_eq!(refusal("5 ;a=\"b\\\"c\"\r\nhello\r\n0\r\n\r\n"), None);
        for line in ["GET /x HTTP/1.1", ": v", "a b: c", " folded", "x"] {
            let refused = refusal(&format!("0\r\n{line}\r\n\r\n"));
            assert_eq!(refused, Some(Refusal::BadRequest), "{line}");
        }
        let many = format!("1;{}\r\nx\r\n", "e".repeat(100)).repeat(100);
        assert_eq!(refusal(&many), Some(Refusal::BadChunk));
    }

    #[test]
    fn refuses_what_is_no_chunk() {
        let refusal = |input: &str| decode(input.as_bytes(), 1).err();
        assert_eq!(refusal("x\r\n"), Some(Refusal::BadChunk));
        assert_eq!(refusal("\r\n"), Some(Refusal::BadChunk));
        assert_eq!(refusal("3\r\nabcXX"), Some(Refusal::BadChunk));
        assert_eq!(refusal("3\nabc\r\n"), Some(Refusal::BadChunk));
        assert_eq!(refusal("12345678\r\n"), Some(Refusal::ChunkTooLarge));
        assert_eq!(refusal("A00001\r\n"), Some(Refusal::ChunkTooLarge));
        assert_eq!(refusal("A00000\r\n"), None);
        assert_eq!(refusal(&format!("1;{}", "x".repeat(9000))), Some(Refusal::BadChunk));
        let trailers = format!("0\r\nx: {}", "x".repeat(9000));
        assert_eq!(refusal(&trailers), Some(Refusal::HeaderFieldsTooLarge));
    }
}
