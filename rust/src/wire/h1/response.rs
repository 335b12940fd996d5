//! The bytes of a response: its head, its body's framing, and responses of the server's own.
//= RFC 9112 4, 7.1

use super::persist::{Framing, Plan};
use super::phrase::phrase;
use crate::wire::head::lists;
use crate::wire::{Fields, Refusal, ResponseHead, Version};

const SERVER: &str = concat!("Server: PAGI::Server/", "0.003000", "\r\n");

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// Writes the head of an application's response.
///
/// The order is the contract's: the application's fields in its order and case, then `date`,
/// `connection`, `Server`, `Transfer-Encoding`; in an event stream's `connection` comes first.
pub fn head(out: &mut Vec<u8>, head: &ResponseHead, version: Version, plan: Plan, date: &[u8]) {
    status_line(out, version, head.status);
    out.reserve(head.fields.bytes.len() + 4 * head.fields.spans.len() + 160);
    // Neither has a body: the one says so by its status, the other by its length.
    let no_length = matches!(head.status, 204 | 205);
    for (name, value) in head.fields.iter() {
        if no_length && name.eq_ignore_ascii_case(b"content-length") {
            continue;
        }
        line(out, name, value);
    }
    let connection = |out: &mut _, is_here: bool| {
        if let Some(connection) = plan.connection.filter(|_| is_here) {
            line(out, b"connection", connection.as_bytes());
        }
    };
    connection(out, head.endless);
    if head.status == 205 {
        line(out, b"content-length", b"0");
    }
    if !head.has_date {
        line(out, b"date", date);
    }
    connection(out, !head.endless);
    if !head.has_server {
        out.extend_from_slice(SERVER.as_bytes());
    }
    if plan.framing == Framing::Chunked {
        out.extend_from_slice(CHUNKED.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a whole response of the server's own.
pub fn refusal(out: &mut Vec<u8>, refusal: Refusal, with_body: bool, date: &[u8]) {
    let body = refusal.body().as_bytes();
    status_line(out, Version::Http11, refusal.status());
    line(out, b"content-type", b"text/plain");
    line(out, b"content-length", itoa::Buffer::new().format(body.len()).as_bytes());
    line(out, b"date", date);
    out.extend_from_slice(refusal.lines().as_bytes());
    out.extend_from_slice(SERVER.as_bytes());
    out.extend_from_slice(b"\r\n");
    if with_body {
        out.extend_from_slice(body);
    }
}

/// Writes the line before a chunk of `len` bytes.
pub fn chunk_head(out: &mut Vec<u8>, len: usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|at| HEX[(len >> (4 * at)) & 15]));
    out.extend_from_slice(b"\r\n");
}

/// The last chunk, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The interim response to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes the last chunk with trailer fields.
pub fn last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    section(out, trailers);
}

/// Writes field lines and the empty line that ends them.
pub fn section(out: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in fields.iter() {
        line(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a head of the fields given, for the codec: of its own it adds a Server field, and the
/// coding where the body is to be chunked and no field says so yet.
pub fn plain_head(
    out: &mut Vec<u8>,
    status: u16,
    version: Version,
    fields: &Fields,
    chunked: bool,
) {
    status_line(out, version, status);
    for (name, value) in fields.iter() {
        line(out, name, value);
    }
    if fields.first(b"server").is_none() {
        out.extend_from_slice(SERVER.as_bytes());
    }
    let coded = fields.first(b"transfer-encoding").is_some_and(|v| lists(v, b"chunked"));
    if chunked && version == Version::Http11 && !coded {
        out.extend_from_slice(CHUNKED.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn status_line(out: &mut Vec<u8>, version: Version, status: u16) {
    if status == 200 && version == Version::Http11 {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/");
    out.extend_from_slice(version.text().as_bytes());
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_in_the_server_field_is_the_crates() {
        assert_eq!(SERVER, format!("Server: PAGI::Server/{}\r\n", crate::VERSION));
    }

    #[test]
    fn head_layout() {
        let mut response = ResponseHead { status: 201, ..ResponseHead::default() };
        response.add(b"X-Case", b"v");
        let plan = Plan { framing: Framing::Chunked, keep: true, connection: None };
        let mut out = Vec::new();
        head(&mut out, &response, Version::Http11, plan, b"D");
        let expected = "HTTP/1.1 201 Created\r\nX-Case: v\r\ndate: D\r\n\
            Server: PAGI::Server/0.003000\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn plain_head_layout() {
        let text = |version, pairs: &[(&str, &str)], chunked| {
            let (mut fields, mut out) = (Fields::default(), Vec::new());
            pairs.iter().for_each(|(n, v)| fields.push(n.as_bytes(), v.as_bytes()));
            plain_head(&mut out, 206, version, &fields, chunked);
            String::from_utf8_lossy(&out).into_owned()
        };
        let server = "Server: PAGI::Server/0.003000\r\n";
        let (line, coding) = ("206 Partial Content\r\n", "Transfer-Encoding: chunked\r\n");
        let plain = text(Version::Http11, &[("X-Case", "v"), ("a", "")], false);
        assert_eq!(plain, format!("HTTP/1.1 {line}X-Case: v\r\na: \r\n{server}\r\n"));
        let chunked = text(Version::Http11, &[("SERVER", "s")], true);
        assert_eq!(chunked, format!("HTTP/1.1 {line}SERVER: s\r\n{coding}\r\n"));
        let once = text(Version::Http11, &[("Transfer-Encoding", "chunked")], true);
        assert_eq!(once, format!("HTTP/1.1 {line}{coding}{server}\r\n"));
        let old = text(Version::Http10, &[], true);
        assert_eq!(old, format!("HTTP/1.0 {line}{server}\r\n"));
    }

    #[test]
    fn refusal_layout() {
        let mut out = Vec::new();
        refusal(&mut out, Refusal::UriTooLong, true, b"D");
        let expected = "HTTP/1.1 414 URI Too Long\r\ncontent-type: text/plain\r\n\
            content-length: 12\r\ndate: D\r\nServer: PAGI::Server/0.003000\r\n\r\nURI Too Long";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn chunk_heads_are_lower_case_hex() {
        for (len, text) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (65_536, "10000\r\n")] {
            let mut out = Vec::new();
            chunk_head(&mut out, len);
            assert_eq!(out, text.as_bytes());
        }
    }
}
