//! The chunked transfer coding, decoded as the bytes come.
//= RFC 9112 7.1

use crate::wire::Refusal;

/// Largest chunk in bytes: what the codec's documentation promises.
pub const MAX_CHUNK: u64 = 10_485_760;

/// Most hex digits of a chunk size.
const MAX_DIGITS: u32 = 7;

/// Most bytes of a chunk extension, and of all trailer fields together.
const MAX_EXTRA: usize = 8192;

/// ```text
/// Size --digits--> Extension --CRLF--> Data --n bytes--> DataEnd --CRLF--> Size
///                      |  size 0
///                      +--CRLF--> Trailer --empty line--> Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u32 },
    Extension { size: u64, seen: usize },
    ExtensionEnd { size: u64 },
    Data { left: u64 },
    DataEnd,
    DataEndLf,
    Trailer { seen: usize, line: usize, cr: bool },
    Done,
}

/// Decodes one body.
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    max_chunk: u64,
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
        Chunked { state: State::Size { size: 0, digits: 0 }, max_chunk }
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

    fn next(&self, byte: u8) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) => self.size(size, digits, byte),
            (State::Extension { size, .. }, b'\r') => Ok(State::ExtensionEnd { size }),
            (State::Extension { seen, .. }, _) if seen >= MAX_EXTRA || is_control(byte) => {
                Err(Refusal::BadChunk)
            }
            (State::Extension { size, seen }, _) => Ok(State::Extension { size, seen: seen + 1 }),
            (State::ExtensionEnd { size: 0 }, b'\n') => {
                Ok(State::Trailer { seen: 0, line: 0, cr: false })
            }
            (State::ExtensionEnd { size }, b'\n') => Ok(State::Data { left: size }),
            (State::DataEnd, b'\r') => Ok(State::DataEndLf),
            (State::DataEndLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::Trailer { seen, line, cr }, _) => trailer(seen, line, cr, byte),
            _ => Err(Refusal::BadChunk),
        }
    }

    fn size(&self, size: u64, digits: u32, byte: u8) -> Result<State, Refusal> {
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
            b';' | b' ' | b'\t' => Ok(State::Extension { size, seen: 1 }),
            _ => Err(Refusal::BadChunk),
        }
    }
}

/// Trailer fields are dropped, but bounded and free of bare CR, LF and NUL.
fn trailer(seen: usize, line: usize, cr: bool, byte: u8) -> Result<State, Refusal> {
    match (cr, byte) {
        _ if seen >= MAX_EXTRA => Err(Refusal::HeaderFieldsTooLarge),
        (true, b'\n') if line == 0 => Ok(State::Done),
        (true, b'\n') => Ok(State::Trailer { seen: seen + 1, line: 0, cr: false }),
        (false, b'\r') => Ok(State::Trailer { seen: seen + 1, line, cr: true }),
        (false, _) if !is_control(byte) => {
            Ok(State::Trailer { seen: seen + 1, line: line + 1, cr: false })
        }
        _ => Err(Refusal::BadRequest),
    }
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
