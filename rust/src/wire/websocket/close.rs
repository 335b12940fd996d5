//! The payload of a Close frame.
//= RFC 6455 5.5.1, 7.4

use super::{Violation, protocol};

/// Longest reason in bytes: what a control frame holds beside the code.
const MOST_REASON: usize = 123;

/// What a peer's Close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code; none where the frame is empty.
    pub code: Option<u16>,
    /// The reason.
    pub reason: String,
}

/// Codes that may be on the wire.
pub fn is_sendable(code: i64) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the payload.
pub fn parse(payload: &[u8]) -> Result<Close, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(Close { code: None, reason: String::new() }),
        [_] => return Err(protocol("Invalid close frame")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !is_sendable(i64::from(code)) {
        return Err(protocol("Invalid close code"));
    }
    match std::str::from_utf8(reason) {
        Ok(reason) => Ok(Close { code: Some(code), reason: reason.to_owned() }),
        Err(_) => Err(Violation { code: 1007, text: "Invalid UTF-8 in close reason" }),
    }
}

/// Writes the payload; a reason that is too long is cut at a character.
pub fn payload(code: Option<u16>, reason: &str) -> Vec<u8> {
    let Some(code) = code else { return Vec::new() };
    let mut end = reason.len().min(MOST_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_payload_is_read_or_refused() {
        let close = |code, reason: &str| Ok(Close { code, reason: reason.to_owned() });
        assert_eq!(parse(b""), close(None, ""));
        assert_eq!(parse(b"\x03\xe8"), close(Some(1000), ""));
        assert_eq!(parse("\x03\u{e8}é".as_bytes()).map_err(|v| v.code), Err(1002));
        assert_eq!(parse(b"\x03\xe8\xc3\xa9"), close(Some(1000), "é"));
        assert_eq!(parse(b"\x03"), Err(protocol("Invalid close frame")));
        assert_eq!(
            parse(b"\x03\xe8\xc3").map_err(|v| v.text),
            Err("Invalid UTF-8 in close reason")
        );
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert_eq!(parse(&code.to_be_bytes()), Err(protocol("Invalid close code")), "{code}");
        }
        for code in [1000_u16, 1003, 1007, 1011, 1012, 1014, 3000, 4999] {
            assert_eq!(parse(&code.to_be_bytes()), close(Some(code), ""));
        }
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let reason = "é".repeat(100);
        assert_eq!(payload(Some(1000), &reason).len(), 2 + 122);
        assert_eq!(payload(None, "x"), b"");
    }
}
