//! The chunked coding, decoded once more: slowly, and from a buffer that holds all of it.
//= RFC 9112 7.1

use pagi_server::wire::Refusal;
use pagi_server::wire::fields::is_tchar;
use pagi_server::wire::h1::chunked::Chunked;
use pagi_server::wire::h1::whole;

use crate::split;

/// The largest chunk in the second round.
const SMALL: u64 = 20;

/// What the contract allows beside the data: extensions of a body together, trailers together.
const MOST_EXTRA: usize = 8192;

/// Decodes the input in every way and compares with the model.
pub fn check(data: &[u8]) {
    for max_chunk in [pagi_server::wire::h1::chunked::MAX_CHUNK, SMALL] {
        let model = Model::decode(data, max_chunk);
        for ends in split::ways(data) {
            let (body, outcome) = decode(data, &ends, max_chunk);
            assert_eq!(body, model.body, "decoded bytes");
            assert_eq!(outcome, model.outcome, "where the body ends");
        }
        check_whole(data, max_chunk, &model);
    }
}

/// How decoding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The body takes so many bytes of the input.
    Done(usize),
    /// The input ends first.
    Need,
    /// It is no chunked body.
    Refused(Refusal),
}

fn decode(data: &[u8], ends: &[usize], max_chunk: u64) -> (Vec<u8>, Outcome) {
    let (mut decoder, mut body, mut at) = (Chunked::new(max_chunk), Vec::new(), 0);
    for end in ends {
        loop {
            let step = match decoder.step(&data[at..*end]) {
                Ok(step) => step,
                Err(refusal) => return (body, Outcome::Refused(refusal)),
            };
            assert!(at + step.framing + step.data <= *end, "read past the end");
            at += step.framing;
            body.extend_from_slice(&data[at..at + step.data]);
            at += step.data;
            if decoder.is_done() {
                return (body, Outcome::Done(at));
            }
            if step.framing + step.data == 0 {
                assert_eq!(at, *end, "stopped before the end of its input");
                break;
            }
        }
    }
    (body, Outcome::Need)
}

/// The codec for callers without a connection takes whole chunks only.
fn check_whole(data: &[u8], max_chunk: u64, model: &Model) {
    match whole::chunks(data, max_chunk) {
        Err(refusal) => assert_eq!(Outcome::Refused(refusal), model.outcome),
        Ok(chunks) => {
            assert!(model.body.starts_with(&chunks.data));
            assert!(chunks.used <= data.len());
            let done = chunks.is_last.then_some(Outcome::Done(chunks.used));
            assert_eq!(done.unwrap_or(Outcome::Need), model.outcome);
            if chunks.is_last {
                assert_eq!(chunks.data, model.body);
            }
        }
    }
}

/// The decoder that the core is compared with.
pub struct Model {
    /// The data before the end, whichever it was.
    pub body: Vec<u8>,
    /// The end.
    pub outcome: Outcome,
    extensions: usize,
}

/// The next line, or why there is none.
type Line<T> = Result<T, Outcome>;

impl Model {
    /// Decodes what lies at the front of `data`.
    pub fn decode(data: &[u8], max_chunk: u64) -> Model {
        let mut model = Model { body: Vec::new(), outcome: Outcome::Need, extensions: 0 };
        model.outcome = match model.chunks(data, max_chunk) {
            Ok(end) | Err(end) => end,
        };
        model
    }

    fn chunks(&mut self, data: &[u8], max_chunk: u64) -> Line<Outcome> {
        let mut at = 0;
        loop {
            let size = self.size_line(data, &mut at, max_chunk)?;
            if size == 0 {
                trailers(data, &mut at)?;
                return Ok(Outcome::Done(at));
            }
            let have = size.min(data.len() - at);
            self.body.extend_from_slice(&data[at..at + have]);
            at += have;
            expect(data, &mut at, b'\r')?;
            expect(data, &mut at, b'\n')?;
        }
    }

    /// `1*7HEXDIG [ *BWS ";" extension ] CRLF`
    fn size_line(&mut self, data: &[u8], at: &mut usize, max_chunk: u64) -> Line<usize> {
        let rest = &data[*at..];
        let digits = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if digits > 7 {
            return Err(Outcome::Refused(Refusal::ChunkTooLarge));
        }
        *at += digits;
        let next = *data.get(*at).ok_or(Outcome::Need)?;
        if digits == 0 {
            return Err(Outcome::Refused(Refusal::BadChunk));
        }
        let text = String::from_utf8_lossy(&rest[..digits]);
        let size = usize::from_str_radix(&text, 16).expect("hex digits");
        if size as u64 > max_chunk {
            return Err(Outcome::Refused(Refusal::ChunkTooLarge));
        }
        if next != b'\r' {
            self.extension(data, at)?;
        }
        expect(data, at, b'\r')?;
        expect(data, at, b'\n')?;
        Ok(size)
    }

    /// Blanks, `;`, and anything but controls up to a CR that no quoted-string swallows.
    fn extension(&mut self, data: &[u8], at: &mut usize) -> Line<()> {
        while matches!(data.get(*at), Some(b' ' | b'\t')) {
            self.count(at)?;
        }
        match data.get(*at) {
            None => return Err(Outcome::Need),
            Some(b';') => self.count(at)?,
            Some(_) => return Err(Outcome::Refused(Refusal::BadChunk)),
        }
        let (mut quoted, mut escaped) = (false, false);
        loop {
            let byte = *data.get(*at).ok_or(Outcome::Need)?;
            if byte == b'\r' && !quoted {
                return Ok(());
            }
            if is_control(byte) {
                return Err(Outcome::Refused(Refusal::BadChunk));
            }
            if escaped {
                escaped = false;
            } else if byte == b'"' {
                quoted = !quoted;
            } else {
                escaped = quoted && byte == b'\\';
            }
            self.count(at)?;
        }
    }

    fn count(&mut self, at: &mut usize) -> Line<()> {
        *at += 1;
        self.extensions += 1;
        match self.extensions > MOST_EXTRA {
            true => Err(Outcome::Refused(Refusal::BadChunk)),
            false => Ok(()),
        }
    }
}

fn expect(data: &[u8], at: &mut usize, byte: u8) -> Line<()> {
    match data.get(*at) {
        None => Err(Outcome::Need),
        Some(found) if *found == byte => {
            *at += 1;
            Ok(())
        }
        Some(_) => Err(Outcome::Refused(Refusal::BadChunk)),
    }
}

/// `*( token ":" value CRLF ) CRLF`
fn trailers(data: &[u8], at: &mut usize) -> Line<()> {
    let start = *at;
    let bad = Err(Outcome::Refused(Refusal::BadRequest));
    let mut next = || {
        let byte = *data.get(*at).ok_or(Outcome::Need)?;
        if *at - start >= MOST_EXTRA {
            return Err(Outcome::Refused(Refusal::HeaderFieldsTooLarge));
        }
        *at += 1;
        Ok(byte)
    };
    loop {
        let mut byte = next()?;
        if byte == b'\r' {
            return if next()? == b'\n' { Ok(()) } else { bad };
        }
        let mut name = 0;
        while is_tchar(byte) {
            name += 1;
            byte = next()?;
        }
        if name == 0 || byte != b':' {
            return bad;
        }
        byte = next()?;
        while byte != b'\r' {
            if is_control(byte) {
                return bad;
            }
            byte = next()?;
        }
        if next()? != b'\n' {
            return bad;
        }
    }
}

fn is_control(byte: u8) -> bool {
    byte != b'\t' && (byte < 0x20 || byte == 0x7f)
}
