//! The response that turns an HTTP/1.1 connection over to the WebSocket protocol.
//= RFC 6455 4.2.2

use crate::wire::{Refusal, RequestHead, ResponseHead};

/// What the key is joined with before it is hashed.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Checks a request that asks for a WebSocket.
pub fn check(request: &RequestHead) -> Result<(), Refusal> {
    let values = |name: &'static [u8]| {
        request.fields.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value)
    };
    let mut versions = values(b"sec-websocket-version");
    if versions.next() != Some(b"13") || versions.next().is_some() {
        return Err(Refusal::UpgradeRequired);
    }
    let mut keys = values(b"sec-websocket-key");
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key) => Ok(()),
        _ => Err(Refusal::BadRequest),
    }
}

/// 16 bytes in base64: 22 digits, the last of which has four bits to spare, and the padding.
fn is_key(key: &[u8]) -> bool {
    let Some(digits) = key.strip_suffix(b"==").filter(|digits| digits.len() == 22) else {
        return false;
    };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.iter().all(is_digit) && matches!(digits[21], b'A' | b'Q' | b'g' | b'w')
}

/// Writes the head of the response: three lines that the protocol asks for, then the fields given.
pub fn response(out: &mut Vec<u8>, request: &RequestHead, head: &ResponseHead) {
    let key = request.fields.first(b"sec-websocket-key").unwrap_or_default();
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n");
    out.extend_from_slice(b"Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    out.extend_from_slice(&accept(key));
    out.extend_from_slice(b"\r\n");
    super::response::section(out, &head.fields);
}

/// The proof that the key was read.
fn accept(key: &[u8]) -> [u8; 28] {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key);
    hash.update(GUID);
    base64(hash.digest().bytes())
}

/// The 20 bytes of a hash, encoded.
fn base64(bytes: [u8; 20]) -> [u8; 28] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = [b'='; 28];
    for (group, digits) in bytes.chunks(3).zip(out.chunks_mut(4)) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, digit) in digits.iter_mut().take(group.len() + 1).enumerate() {
            *digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::h1::request::parse_whole;

    #[test]
    fn a_handshake_has_one_version_and_one_key() {
        let checked = |lines: &str| {
            check(&parse_whole(&format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n"))).err()
        };
        let version = "Sec-WebSocket-Version: 13\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        assert_eq!(checked(&[version, key].concat()), None);
        assert_eq!(checked(key), Some(Refusal::UpgradeRequired));
        let eight = "Sec-WebSocket-Version: 8\r\n";
        assert_eq!(checked(&[eight, key].concat()), Some(Refusal::UpgradeRequired));
        assert_eq!(checked(&[version, version, key].concat()), Some(Refusal::UpgradeRequired));
        assert_eq!(checked(&[version, key, key].concat()), Some(Refusal::BadRequest));
        for bad in [
            "",
            "x",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZR==",
            "d*hlIHNhbXBsZSBub25jZQ==",
        ] {
            let key = format!("Sec-WebSocket-Key: {bad}\r\n");
            assert_eq!(checked(&[version, &key].concat()), Some(Refusal::BadRequest), "{bad}");
        }
    }

    #[test]
    fn the_response_of_the_rfc() {
        let request = parse_whole(
            "GET /chat HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        let mut head = ResponseHead::default();
        head.add(b"Sec-WebSocket-Protocol", b"chat");
        let mut out = Vec::new();
        response(&mut out, &request, &head);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Sec-WebSocket-Protocol: chat\r\n\r\n"
        );
    }
}
