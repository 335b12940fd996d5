//! Frames: their headers, as tungstenite reads and writes them, and their masks.
//= RFC 6455 5.2, 5.3

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{TOO_BIG, Violation, protocol};

/// The longest header that a client can send.
pub const MOST_HEADER: usize = 14;

/// The longest payload of a control frame.
const MOST_CONTROL: u64 = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes on with a message.
    Continue,
    /// Starts a message of text.
    Text,
    /// Starts a message of bytes.
    Binary,
    /// Asks for the end.
    Close,
    /// Asks for a sign of life.
    Ping,
    /// Is one.
    Pong,
}

impl Kind {
    fn of(code: OpCode) -> Option<Kind> {
        Some(match code {
            OpCode::Data(Data::Continue) => Kind::Continue,
            OpCode::Data(Data::Text) => Kind::Text,
            OpCode::Data(Data::Binary) => Kind::Binary,
            OpCode::Control(Control::Close) => Kind::Close,
            OpCode::Control(Control::Ping) => Kind::Ping,
            OpCode::Control(Control::Pong) => Kind::Pong,
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => return None,
        })
    }

    fn code(self) -> OpCode {
        match self {
            Kind::Continue => OpCode::Data(Data::Continue),
            Kind::Text => OpCode::Data(Data::Text),
            Kind::Binary => OpCode::Data(Data::Binary),
            Kind::Close => OpCode::Control(Control::Close),
            Kind::Ping => OpCode::Control(Control::Ping),
            Kind::Pong => OpCode::Control(Control::Pong),
        }
    }

    /// Not part of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Kind::Close | Kind::Ping | Kind::Pong)
    }
}

/// The header of a client's frame, checked by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// The last one of its message.
    pub is_final: bool,
    /// The message is compressed.
    pub is_compressed: bool,
    /// The mask of its payload.
    pub mask: [u8; 4],
    /// The length of its payload.
    pub len: u64,
}

/// What is allowed to a client.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Longest payload of a frame.
    pub most_frame: u64,
    /// Compression was agreed upon.
    pub may_compress: bool,
}

/// Reads the header at the front of `bytes` and tells its length; none where more is needed.
pub fn parse(bytes: &[u8], rules: Rules) -> Result<Option<(Header, usize)>, Violation> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let reserved = if rules.may_compress { 0x30 } else { 0x70 };
    if first & reserved != 0 {
        return Err(protocol("RSV bits must be 0"));
    }
    let mut cursor = Cursor::new(bytes);
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| protocol("Reserved opcode"))?;
    let Some((header, len)) = parsed else { return Ok(None) };
    let used = cursor.position() as usize;
    let kind = Kind::of(header.opcode).ok_or(protocol("Reserved opcode"))?;
    let checked = check(&header, kind, len, rules)?;
    if used != header.len(len) || len >> 63 != 0 {
        return Err(protocol("Invalid payload length"));
    }
    Ok(Some((checked, used)))
}

fn check(header: &FrameHeader, kind: Kind, len: u64, rules: Rules) -> Result<Header, Violation> {
    let mask = header.mask.ok_or(protocol("Frames must be masked"))?;
    if header.rsv1 && (kind.is_control() || kind == Kind::Continue) {
        return Err(protocol("RSV bits must be 0"));
    }
    if kind.is_control() && len > MOST_CONTROL {
        return Err(protocol("Control frame too large"));
    }
    if kind.is_control() && !header.is_final {
        return Err(protocol("Control frame must not be fragmented"));
    }
    if len > rules.most_frame && !kind.is_control() {
        return Err(TOO_BIG);
    }
    Ok(Header { kind, is_final: header.is_final, is_compressed: header.rsv1, mask, len })
}

/// The header of a frame of the server's: one frame a message, unmasked.
pub fn header(kind: Kind, is_compressed: bool, len: usize) -> Vec<u8> {
    let header = FrameHeader { rsv1: is_compressed, opcode: kind.code(), ..FrameHeader::default() };
    let mut out = Vec::with_capacity(MOST_HEADER);
    // A vector takes all that is written to it.
    let _ = header.format(len as u64, &mut out);
    out
}

/// Takes the mask off a part of a payload that begins `offset` bytes into it.
pub fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: u64) {
    let mut mask = mask;
    mask.rotate_left((offset & 3) as usize);
    let wide = u64::from(u32::from_ne_bytes(mask));
    let wide = wide << 32 | wide;
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { most_frame: 1000, may_compress: false };

    fn text(bytes: &[u8]) -> &'static str {
        parse(bytes, RULES).map_or_else(|violation| violation.text, |_| "fine")
    }

    #[test]
    fn headers_are_checked_by_themselves() {
        for (bytes, expected) in [
            (&b"\x81\x80abcd"[..], "fine"),
            (b"\xc1\x80abcd", "RSV bits must be 0"),
            (b"\xa1\x80abcd", "RSV bits must be 0"),
            (b"\x91\x80abcd", "RSV bits must be 0"),
            (b"\x83\x80abcd", "Reserved opcode"),
            (b"\x8b\x80abcd", "Reserved opcode"),
            (b"\x89\xfe\x00\x7eabcd", "Control frame too large"),
            (b"\x09\x80abcd", "Control frame must not be fragmented"),
            (b"\x81\x05", "Frames must be masked"),
            (b"\x81\xfe\x00\x05abcd", "Invalid payload length"),
            (b"\x82\xfe\x03\xe8abcd", "fine"),
            (b"\x82\xfe\x03\xe9abcd", "Message too big"),
            (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffabcd", "Message too big"),
        ] {
            assert_eq!(text(bytes), expected, "{bytes:?}");
        }
        let rules = Rules { may_compress: true, ..RULES };
        assert!(parse(b"\xc1\x80abcd", rules).is_ok_and(|h| h.is_some_and(|h| h.0.is_compressed)));
        assert!(parse(b"\xc0\x80abcd", rules).is_err(), "not on a continuation");
        assert!(parse(b"\xc9\x80abcd", rules).is_err(), "not on a control frame");
    }

    #[test]
    fn half_a_header_needs_more() {
        let whole = b"\x82\xfe\x03\xe8abcd";
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len], RULES), Ok(None));
        }
    }

    #[test]
    fn masks_go_on_over_pieces() {
        let plain: Vec<u8> = (0..100).collect();
        let mut masked = plain.clone();
        unmask(&mut masked, *b"abcd", 0);
        assert_eq!(masked[5], 5 ^ b'b');
        for cut in 0..100 {
            let mut bytes = masked.clone();
            let (front, back) = bytes.split_at_mut(cut);
            unmask(front, *b"abcd", 0);
            unmask(back, *b"abcd", cut as u64);
            assert_eq!(bytes, plain);
        }
    }

    #[test]
    fn headers_are_as_short_as_can_be() {
        assert_eq!(header(Kind::Text, false, 5), b"\x81\x05");
        assert_eq!(header(Kind::Binary, true, 126), b"\xc2\x7e\x00\x7e");
        assert_eq!(header(Kind::Pong, false, 0), b"\x8a\x00");
        assert_eq!(header(Kind::Binary, false, 65536).len(), 10);
    }
}
