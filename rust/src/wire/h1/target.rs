//! The request target: its forms, its split, its decoding.
//= RFC 9112 3.2

use crate::wire::fields::Span;
use crate::wire::head::Path;
use crate::wire::{Refusal, RequestHead};

/// Splits the target, which the parser left in `raw_path`; the authority of an absolute-form
/// target is returned.
pub fn split(request: &mut RequestHead) -> Result<Option<Span>, Refusal> {
    let whole = request.raw_path;
    let target = request.text(whole);
    let is_connect = request.text(request.method) == b"CONNECT";
    if is_connect || target.iter().any(|b| b.is_ascii_control() || *b == b' ') {
        // A tunnel is not ours to make (RFC 9110 9.3.6), whatever form its target has.
        return Err(Refusal::BadRequest);
    }
    let authority = match target.first() {
        Some(b'/') => None,
        Some(b'*') if target.len() == 1 => None,
        _ => Some(absolute(target, whole).ok_or(Refusal::BadRequest)?),
    };
    cut(request, authority.map_or(whole, |(_, rest)| rest))?;
    Ok(authority.map(|(authority, _)| authority))
}

/// Splits path and query, and decodes the path.
pub fn cut(request: &mut RequestHead, rest: Span) -> Result<(), Refusal> {
    let text = request.text(rest);
    let (path, query) = match memchr::memchr(b'?', text) {
        Some(at) => {
            let at = at as u32;
            let start = rest.start + at + 1;
            (Span { len: at, ..rest }, Span { start, len: rest.len - at - 1 })
        }
        None => (rest, Span::default()),
    };
    request.path = decode(request.text(path))?;
    request.raw_path = path;
    request.query = query;
    if path.len == 0 {
        root(request);
    }
    Ok(())
}

/// An absolute-form target without a path asks for `/`.
fn root(request: &mut RequestHead) {
    request.raw_path = request.fields.append(b"/");
    request.path = Path::Raw;
}

/// Authority and path-with-query of `http://authority/path`.
fn absolute(target: &[u8], whole: Span) -> Option<(Span, Span)> {
    let scheme = ["http://", "https://"].iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme.as_bytes()))
    })?;
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let authority = &rest[..end];
    if !is_authority(authority) {
        return None;
    }
    let start = whole.start + scheme.len() as u32;
    let path = Span { start: start + end as u32, len: (rest.len() - end) as u32 };
    Some((Span { start, len: end as u32 }, path))
}

/// Whether it is `uri-host [ ":" port ]`, the value of Host (RFC 9112 3.2, RFC 3986 3.2.2).
pub fn is_authority(text: &[u8]) -> bool {
    let (host, rest) = match text.first() {
        Some(b'[') => match text.iter().position(|b| *b == b']') {
            Some(end) => (&text[1..end], &text[end + 1..]),
            None => return false,
        },
        _ => text.split_at(text.iter().position(|b| *b == b':').unwrap_or(text.len())),
    };
    let is_host = match text.first() {
        Some(b'[') => is_ip_literal(host),
        _ => is_reg_name(host),
    };
    let is_port = match rest.split_first() {
        None => true,
        Some((colon, port)) => *colon == b':' && port.iter().all(u8::is_ascii_digit),
    };
    is_host && is_port
}

fn is_ip_literal(host: &[u8]) -> bool {
    let future = host.first().is_some_and(|b| b.eq_ignore_ascii_case(&b'v'));
    let is_part =
        |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.') || (future && is_host_byte(*b));
    !host.is_empty() && host.iter().skip(usize::from(future)).all(is_part)
}

fn is_reg_name(host: &[u8]) -> bool {
    let mut rest = host.iter().copied();
    while let Some(byte) = rest.next() {
        let mut is_hex = || rest.next().is_some_and(|b| b.is_ascii_hexdigit());
        let fine = if byte == b'%' { is_hex() && is_hex() } else { is_host_byte(byte) };
        if !fine {
            return false;
        }
    }
    !host.is_empty()
}

/// `unreserved` and `sub-delims` of RFC 3986.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

/// Percent-decodes once; characters where the outcome is UTF-8, bytes where it is not.
pub fn decode(raw: &[u8]) -> Result<Path, Refusal> {
    if memchr::memchr(b'%', raw).is_none() {
        return Ok(if raw.is_ascii() { Path::Raw } else { text_or_bytes(raw.to_vec()) });
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| (b as char).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(Refusal::BadRequest),
        }
    }
    Ok(text_or_bytes(out))
}

fn text_or_bytes(bytes: Vec<u8>) -> Path {
    if std::str::from_utf8(&bytes).is_ok() { Path::Text(bytes) } else { Path::Bytes(bytes) }
}

/// Whether an Accept field names `text/event-stream` itself, with a weight above zero.
//= PAGI::Spec::Www "SSE"
pub fn wants_event_stream(accept: &[u8]) -> bool {
    parts(accept, b',').any(|range| {
        let mut parts = parts(range, b';').map(<[u8]>::trim_ascii);
        let named = parts.next().is_some_and(|t| t.eq_ignore_ascii_case(b"text/event-stream"));
        named && !parts.any(is_zero_weight)
    })
}

/// The parts of a list; what stands in a quoted string divides nothing.
fn parts(list: &[u8], divider: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    list.split(move |byte| {
        is_quoted ^= *byte == b'"' && !is_escaped;
        is_escaped = is_quoted && *byte == b'\\' && !is_escaped;
        !is_quoted && *byte == divider
    })
}

fn is_zero_weight(parameter: &[u8]) -> bool {
    let weight = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
    weight.is_some_and(|w| !w.is_empty() && w.iter().all(|b| matches!(b, b'0' | b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_decode_to_characters_or_bytes() {
        let text = |bytes: &str| Ok(Path::Text(bytes.into()));
        assert_eq!(decode(b"/a+b;c=d//x/../y"), Ok(Path::Raw));
        assert_eq!(decode(b"/a%20b"), text("/a b"));
        assert_eq!(decode(b"/caf%C3%A9"), text("/caf\u{e9}"));
        assert_eq!(decode(b"/..%2f%00"), text("/../\0"));
        assert_eq!(decode(b"/%FF"), Ok(Path::Bytes(b"/\xFF".to_vec())));
        assert_eq!(decode(b"/%C0%80"), Ok(Path::Bytes(b"/\xC0\x80".to_vec())));
        assert_eq!(decode(b"/%ED%A0%80"), Ok(Path::Bytes(b"/\xED\xA0\x80".to_vec())));
        assert_eq!(decode(b"/nob\xE9"), Ok(Path::Bytes(b"/nob\xE9".to_vec())));
        for bad in [&b"/%"[..], b"/%2", b"/%zz", b"/%+1"] {
            assert_eq!(decode(bad), Err(Refusal::BadRequest));
        }
    }

    #[test]
    fn authorities() {
        for good in
            ["h", "h:80", "h:", "a.b-c_d", "1.2.3.4:0080", "[::1]", "[::1]:8", "a%20b", "a,b"]
        {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in
            ["", ":80", "h:x", "a b", "u@h", "h/p", "h#f", "[::1", "[::1]x", "[]", "a%2", "\u{e9}"]
        {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn only_the_exact_media_range_asks_for_events() {
        assert!(wants_event_stream(b"text/html, TEXT/event-stream;q=0.5"));
        for range in [
            "text/event-stream ; q=0.001",
            "a/b;q=0 , text/event-stream;v=\";q=0\"",
            "text/event-stream;q=0, text/event-stream",
        ] {
            assert!(wants_event_stream(range.as_bytes()), "{range}");
        }
        for other in [
            "*/*",
            "text/*",
            "text/event-stream;q=0",
            "text/event-stream;Q=0.000",
            "text/event-stream ; charset=x ; q=0.0",
            "text/event-streams",
            "xtext/event-stream",
            "a/b;c=\"x,text/event-stream,y\\\",text/event-stream,\"",
            "",
        ] {
            assert!(!wants_event_stream(other.as_bytes()), "{other}");
        }
    }
}
