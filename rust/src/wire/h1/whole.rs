//! Requests and chunked bodies that lie in one buffer: what a caller without a connection reads.
//! The same scanner, parser and decoder as a connection's, driven to the end of the buffer.

use super::chunked::Chunked;
use super::request::{self, Limits, Scan};
use crate::wire::{Refusal, RequestHead};

/// The request head at the front of a buffer and the bytes that it takes; `None` while more input
/// is needed. A refusal comes with the bytes that belong to what was refused.
pub fn head(buf: &[u8], limits: &Limits) -> Result<Option<(RequestHead, usize)>, (Refusal, usize)> {
    // One empty line before a request is tolerated (RFC 9112 2.2).
    let blank = if buf.starts_with(b"\r\n") { 2 } else { 0 };
    let rest = &buf[blank..];
    if rest.is_empty() || rest == b"\r" {
        return Ok(None);
    }
    let mut scan = Scan::default();
    let refused = |refusal| (refusal, blank + refused_len(rest));
    let Some(len) = scan.find(rest, limits).map_err(refused)? else { return Ok(None) };
    let request = request::parse(&rest[..len], &scan, limits).map_err(refused)?;
    Ok(Some((request, blank + len)))
}

/// A refused head ends with its first empty line; without one it is all there is.
fn refused_len(buf: &[u8]) -> usize {
    let end = b"\r\n\r\n";
    buf.windows(end.len()).position(|w| w == end).map_or(buf.len(), |at| at + end.len())
}

/// The whole chunks at the front of a buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    /// Their data.
    pub data: Vec<u8>,
    /// The bytes that they take; the last chunk's trailers are part of it.
    pub used: usize,
    /// The last chunk is among them.
    pub is_last: bool,
}

/// Decodes the whole chunks at the front of `buf`, which begins with a chunk size.
pub fn chunks(buf: &[u8], max_chunk: u64) -> Result<Chunks, Refusal> {
    let (mut decoder, mut chunks) = (Chunked::new(max_chunk), Chunks::default());
    loop {
        let step = decoder.step(&buf[chunks.used..])?;
        let data = chunks.used + step.framing;
        let end = data + step.data;
        if step.data == 0 {
            chunks.is_last = decoder.is_done();
            chunks.used = if chunks.is_last { end } else { chunks.used };
            return Ok(chunks);
        }
        // The line end behind the data and no more: what follows may be incomplete.
        let closed = end + decoder.step(&buf[end..buf.len().min(end + 2)])?.framing;
        if !decoder.is_between_chunks() {
            return Ok(chunks);
        }
        chunks.data.extend_from_slice(&buf[data..end]);
        chunks.used = closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &str) -> Result<(String, usize, bool), Refusal> {
        let chunks = chunks(input.as_bytes(), 16)?;
        Ok((String::from_utf8(chunks.data).expect("ASCII"), chunks.used, chunks.is_last))
    }

    #[test]
    fn only_whole_chunks_are_taken() {
        let input = "3\r\nabc\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\nGET";
        let (first, second, all) = (8, 22, input.len() - 3);
        for end in 0..=input.len() {
            let expected = match end {
                _ if end >= all => ("abchello", all, true),
                _ if end >= second => ("abchello", second, false),
                _ if end >= first => ("abc", first, false),
                _ => ("", 0, false),
            };
            let (data, used, is_last) = decode(&input[..end]).expect("valid");
            assert_eq!((&data[..], used, is_last), expected, "{:?}", &input[..end]);
        }
    }

    #[test]
    fn a_refusal_anywhere_refuses_the_body() {
        assert_eq!(decode("3\r\nabc\r\nx"), Err(Refusal::BadChunk));
        assert_eq!(decode("3\r\nabcXX"), Err(Refusal::BadChunk));
        assert_eq!(decode("11\r\n"), Err(Refusal::ChunkTooLarge));
        assert_eq!(decode("10\r\n"), Ok((String::new(), 0, false)));
    }

    #[test]
    fn a_head_takes_its_bytes_whether_read_or_refused() {
        let read = |text: &str| {
            let found = head(text.as_bytes(), &Limits::default());
            found.map(|found| found.map(|(_, used)| used))
        };
        let good = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        assert_eq!(read(&format!("{good}GET")), Ok(Some(good.len())));
        assert_eq!(read(&format!("\r\n{good}")), Ok(Some(good.len() + 2)));
        for end in 0..good.len() {
            assert_eq!(read(&good[..end]), Ok(None));
            assert_eq!(read(&format!("\r\n{}", &good[..end])), Ok(None));
        }
        let bad = "GET / HTTP/1.1\r\n\r\n";
        assert_eq!(read(&format!("{bad}{good}")), Err((Refusal::BadRequest, bad.len())));
        assert_eq!(read("GET /\nHost: h"), Err((Refusal::BadRequest, 13)));
    }
}
