//! Compression of messages: what is agreed upon, and the two halves that keep it.
//= RFC 7692

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{TOO_BIG, Violation};

/// The name of the extension.
const NAME: &[u8] = b"permessage-deflate";

/// What a flushed DEFLATE stream ends with; it is not sent (7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The least window that zlib can do without a header of its own. RFC 7692 has 8, too.
const LEAST_BITS: u8 = 9;

/// The greatest window, which is the one that goes without saying.
const MOST_BITS: u8 = 15;

/// How hard to compress: beyond 3, zlib takes twice the time for a twentieth less.
const LEVEL: u32 = 3;

/// Messages below this many bytes go as they are: their header would eat the gain.
pub const LEAST_MESSAGE: usize = 64;

/// What client and server agree upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    server_bits: u8,
    client_bits: u8,
    server_forgets: bool,
    client_forgets: bool,
    names_server_bits: bool,
    names_client_bits: bool,
}

impl Agreement {
    /// The first of a client's offers that can be met; `bits` is the window wanted.
    pub fn parse(offers: &[u8], bits: u8) -> Option<Agreement> {
        let bits = bits.clamp(LEAST_BITS, MOST_BITS);
        offers.split(|byte| *byte == b',').find_map(|offer| Agreement::of(offer, bits))
    }

    fn of(offer: &[u8], bits: u8) -> Option<Agreement> {
        let mut words = offer.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        if !words.next().is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
            return None;
        }
        let mut agreed = Agreement {
            server_bits: bits,
            client_bits: MOST_BITS,
            server_forgets: false,
            client_forgets: false,
            names_server_bits: false,
            names_client_bits: false,
        };
        for word in words {
            let mut parts = word.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            agreed.parameter(&name, parts.next(), bits)?;
        }
        Some(agreed)
    }

    /// None declines the offer: a parameter that is unknown, repeated, or cannot be met.
    fn parameter(&mut self, name: &[u8], value: Option<&[u8]>, bits: u8) -> Option<()> {
        let first = |flag: &mut bool| (!std::mem::replace(flag, true)).then_some(());
        match (name, value) {
            (b"server_no_context_takeover", None) => first(&mut self.server_forgets),
            (b"client_no_context_takeover", None) => first(&mut self.client_forgets),
            (b"server_max_window_bits", Some(value)) => {
                let most = window(value).filter(|most| *most >= LEAST_BITS)?;
                self.server_bits = bits.min(most);
                first(&mut self.names_server_bits)
            }
            (b"client_max_window_bits", value) => {
                let most = value.map_or(Some(MOST_BITS), window)?;
                self.client_bits = bits.min(most).max(LEAST_BITS);
                first(&mut self.names_client_bits)
            }
            _ => None,
        }
    }

    /// The field value that tells the client.
    pub fn response(&self) -> String {
        let mut text = String::from("permessage-deflate");
        let flags = [
            (self.server_forgets, "; server_no_context_takeover"),
            (self.client_forgets, "; client_no_context_takeover"),
        ];
        for (_, word) in flags.iter().filter(|(is_on, _)| *is_on) {
            text.push_str(word);
        }
        if self.names_server_bits {
            text.push_str(&format!("; server_max_window_bits={}", self.server_bits));
        }
        if self.names_client_bits {
            text.push_str(&format!("; client_max_window_bits={}", self.client_bits));
        }
        text
    }
}

/// A number of window bits, quoted or not.
fn window(value: &[u8]) -> Option<u8> {
    let bare = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    let digits = std::str::from_utf8(bare).ok().filter(|v| !v.starts_with(['0', '+']))?;
    digits.parse().ok().filter(|bits| (8..=MOST_BITS).contains(bits))
}

/// Compresses the server's messages. Its memory is there from the first one on; where the client
/// wants no context kept, only while it works.
#[derive(Debug)]
pub struct Deflater {
    bits: u8,
    forgets: bool,
    state: Option<Box<Compress>>,
}

impl Deflater {
    /// A half that keeps to what was agreed upon.
    pub fn new(agreed: Agreement) -> Deflater {
        Deflater { bits: agreed.server_bits, forgets: agreed.server_forgets, state: None }
    }

    /// One message, compressed; none where that fails, and the message must go as it is.
    pub fn deflate(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let bits = self.bits;
        let state = self.state.get_or_insert_with(|| {
            Box::new(Compress::new_with_window_bits(Compression::new(LEVEL), false, bits))
        });
        let mut out = Vec::with_capacity(message.len() / 2 + 64);
        let mut rest = message;
        loop {
            let before = state.total_in();
            let status = state.compress_vec(rest, &mut out, FlushCompress::Sync);
            rest = &rest[(state.total_in() - before) as usize..];
            if status.is_err() {
                self.state = None;
                return None;
            }
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
            out.reserve(out.capacity().max(64));
        }
        if self.forgets {
            self.state = None;
        }
        let kept = out.strip_suffix(&TAIL).map(<[u8]>::len)?;
        out.truncate(kept);
        Some(out)
    }
}

/// Decompresses the client's messages; see [`Deflater`] for its memory.
#[derive(Debug)]
pub struct Inflater {
    bits: u8,
    forgets: bool,
    state: Option<Box<Decompress>>,
}

/// What cannot be decompressed.
const CORRUPT: Violation = Violation { code: 1007, text: "Invalid compressed data" };

impl Inflater {
    /// A half that keeps to what was agreed upon.
    pub fn new(agreed: Agreement) -> Inflater {
        Inflater { bits: agreed.client_bits, forgets: agreed.client_forgets, state: None }
    }

    /// Adds what a piece of a message holds to `out`, which must not grow beyond `most`: a small
    /// piece may hold a thousand times its size.
    pub fn inflate(
        &mut self,
        piece: &[u8],
        out: &mut Vec<u8>,
        most: usize,
    ) -> Result<(), Violation> {
        let bits = self.bits;
        let state = self
            .state
            .get_or_insert_with(|| Box::new(Decompress::new_with_window_bits(false, bits)));
        let mut rest = piece;
        loop {
            // One byte beyond the limit tells that there is more.
            let room = most.saturating_add(1).saturating_sub(out.len());
            let wanted = (rest.len() * 4).clamp(1024, 256 * 1024);
            out.reserve(wanted.min(room.max(1)));
            let (taken, given) = (state.total_in(), out.len());
            let status = state.decompress_vec(rest, out, FlushDecompress::Sync);
            rest = &rest[(state.total_in() - taken) as usize..];
            if out.len() > most {
                return Err(TOO_BIG);
            }
            match status.map_err(|_| CORRUPT)? {
                // A last block may end a message; another stream may follow (7.2.3.5).
                Status::StreamEnd => state.reset(false),
                _ if rest.is_empty() && out.len() < out.capacity() => return Ok(()),
                Status::BufError if out.len() == given && out.len() < out.capacity() => {
                    return if rest.is_empty() { Ok(()) } else { Err(CORRUPT) };
                }
                _ => {}
            }
            if rest.is_empty() && out.len() == given && out.len() < out.capacity() {
                return Ok(());
            }
        }
    }

    /// The message is complete.
    pub fn finish(&mut self, out: &mut Vec<u8>, most: usize) -> Result<(), Violation> {
        self.inflate(&TAIL, out, most)?;
        if self.forgets {
            self.state = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(offer: &str) -> Option<String> {
        Agreement::parse(offer.as_bytes(), 12).map(|agreed| agreed.response())
    }

    #[test]
    fn offers_and_answers() {
        let name = "permessage-deflate";
        for (offer, answer) in [
            ("", None),
            ("x-webkit-deflate-frame", None),
            ("permessage-deflate", Some("")),
            ("PerMessage-Deflate", Some("")),
            ("x-other, permessage-deflate", Some("")),
            ("permessage-deflate; client_max_window_bits", Some("; client_max_window_bits=12")),
            ("permessage-deflate; client_max_window_bits=10", Some("; client_max_window_bits=10")),
            ("permessage-deflate; client_max_window_bits=8", Some("; client_max_window_bits=9")),
            ("permessage-deflate; server_max_window_bits=10", Some("; server_max_window_bits=10")),
            (
                "permessage-deflate; server_max_window_bits=\"15\"",
                Some("; server_max_window_bits=12"),
            ),
            ("permessage-deflate; server_max_window_bits=8", None),
            ("permessage-deflate; server_max_window_bits=8, permessage-deflate", Some("")),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits=09", None),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                Some("; server_no_context_takeover; client_no_context_takeover"),
            ),
            ("permessage-deflate; server_no_context_takeover=1", None),
            ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
            ("permessage-deflate; unknown", None),
        ] {
            assert_eq!(agree(offer), answer.map(|rest| format!("{name}{rest}")), "{offer}");
        }
    }

    fn halves(offer: &str) -> (Deflater, Inflater) {
        let agreed = Agreement::parse(offer.as_bytes(), 15).expect("an agreement");
        // The test's inflater reads what the server wrote.
        let turned = Agreement {
            client_bits: agreed.server_bits,
            client_forgets: agreed.server_forgets,
            ..agreed
        };
        (Deflater::new(agreed), Inflater::new(turned))
    }

    fn round_trip(offer: &str) {
        let (mut deflater, mut inflater) = halves(offer);
        for round in 0..40_usize {
            let message: Vec<u8> =
                (0..round * round * 70).map(|n| ((n * n) >> 5) as u8 & 31).collect();
            let packed = deflater.deflate(&message).expect("compressed");
            let mut out = Vec::new();
            for piece in packed.chunks(1 + round * 13) {
                inflater.inflate(piece, &mut out, 1_000_000).expect("a piece");
            }
            inflater.finish(&mut out, 1_000_000).expect("the end");
            assert!(out == message, "round {round}");
        }
    }

    #[test]
    fn what_was_compressed_comes_back() {
        round_trip("permessage-deflate");
        round_trip("permessage-deflate; server_max_window_bits=9");
        round_trip("permessage-deflate; server_max_window_bits=12; server_no_context_takeover");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let (mut deflater, mut inflater) = halves("permessage-deflate");
        let bomb = deflater.deflate(&vec![0; 5_000_000]).expect("compressed");
        let mut out = Vec::new();
        assert_eq!(inflater.inflate(&bomb, &mut out, 100_000), Err(TOO_BIG));
        assert!(out.capacity() < 400_000, "{} bytes", out.capacity());
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let (mut deflater, mut inflater) = halves("permessage-deflate");
        let packed = deflater.deflate(&vec![7; 5000]).expect("compressed");
        let mut out = Vec::new();
        assert_eq!(inflater.inflate(&packed, &mut out, 5000), Ok(()));
        assert_eq!(inflater.finish(&mut out, 5000), Ok(()));
        assert_eq!(out.len(), 5000);
    }

    #[test]
    fn a_last_block_ends_a_message_not_the_connection() {
        let (_, mut inflater) = halves("permessage-deflate");
        // RFC 7692 7.2.3.5, twice.
        let hello = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
        for _ in 0..2 {
            let mut out = Vec::new();
            inflater.inflate(hello, &mut out, 100).expect("a piece");
            inflater.finish(&mut out, 100).expect("the end");
            assert_eq!(out, b"Hello");
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let (_, mut inflater) = halves("permessage-deflate");
        for packed in [
            &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
            b"\xf2\x00\x11\x00\x00",
            b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ] {
            let mut out = Vec::new();
            inflater.inflate(packed, &mut out, 100).expect("a piece");
            inflater.finish(&mut out, 100).expect("the end");
            assert_eq!(out, b"Hello", "{packed:?}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        let (_, mut inflater) = halves("permessage-deflate");
        assert_eq!(inflater.inflate(b"\x07garbage", &mut Vec::new(), 100), Err(CORRUPT));
    }
}
