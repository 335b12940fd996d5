//! The head of a request, checked against its own text.
//= RFC 9112 2, 3, 5, 6

use pagi_server::wire::fields::is_tchar;
use pagi_server::wire::h1::request::{self, Limits, Scan};
use pagi_server::wire::h1::whole;
use pagi_server::wire::{Body, Path, Refusal, RequestHead, Version};

use crate::split;

/// What scanning and parsing came to: the head and its length, nothing yet, or a refusal.
type Found = Result<Option<(RequestHead, usize)>, Refusal>;

/// Reads the input in every way and checks what comes out.
pub fn check(data: &[u8]) {
    let small = Limits { request_line: 40, head: 90, fields: 3 };
    for limits in [Limits::default(), small] {
        let ways = split::ways(data);
        let first = read(data, &ways[0], &limits);
        for ends in &ways[1..] {
            let other = read(data, ends, &limits);
            assert_eq!(summary(&other), summary(&first), "another split, another head");
        }
        match &first {
            Ok(Some((head, len))) => {
                assert!(*len <= data.len(), "more consumed than was given");
                check_head(head, &data[..*len], &limits);
            }
            Ok(None) => assert!(data.len() <= limits.request_line.max(limits.head) + 3),
            Err(_) => {}
        }
        check_whole(data, &first, &limits);
    }
}

fn read(data: &[u8], ends: &[usize], limits: &Limits) -> Found {
    let mut scan = Scan::default();
    for end in ends {
        if let Some(len) = scan.find(&data[..*end], limits)? {
            let head = request::parse(&data[..len], &scan, limits)?;
            return Ok(Some((head, len)));
        }
    }
    Ok(None)
}

/// All that is to be compared of a result.
fn summary(found: &Found) -> Result<Option<String>, Refusal> {
    let text = |(head, len): &(RequestHead, usize)| format!("{len} {head:?}");
    found.as_ref().map(|found| found.as_ref().map(text)).map_err(|refusal| *refusal)
}

/// The codec for callers without a connection reads the same, but for one empty line in front.
fn check_whole(data: &[u8], found: &Found, limits: &Limits) {
    let whole = whole::head(data, limits);
    if let Err((_, used)) = &whole {
        assert!(*used <= data.len(), "more refused than was given");
    }
    if !data.is_empty() && data[0] != b'\r' {
        let whole = whole.map_err(|(refusal, _)| refusal);
        assert_eq!(summary(&whole), summary(found), "two parsers");
    }
}

fn check_head(head: &RequestHead, text: &[u8], limits: &Limits) {
    let body = text.strip_suffix(b"\r\n\r\n").expect("a head ends with an empty line");
    assert!(body.len() <= limits.head, "a head above its limit");
    let mut lines = lines(body).into_iter();
    let first = lines.next().expect("a request line");
    assert!(first.len() <= limits.request_line, "a request line above its limit");
    let fields: Vec<_> = lines.map(field).collect();
    check_request_line(head, first);
    check_bytes(head);
    check_fields(head, &fields, limits);
    check_framing(head, &fields);
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut start) = (Vec::new(), 0);
    while let Some(at) = text[start..].windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&text[start..start + at]);
        start += at + 2;
    }
    lines.push(&text[start..]);
    lines
}

/// Name in lower case and trimmed value of a line.
fn field(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let colon = line.iter().position(|b| *b == b':').expect("a field line has a colon");
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let value = &line[colon + 1..];
    let from = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let to = value.iter().rposition(|b| !blank(b)).map_or(from, |at| at + 1);
    (line[..colon].to_ascii_lowercase(), value[from..to].to_vec())
}

fn check_request_line(head: &RequestHead, line: &[u8]) {
    let parts: Vec<_> = line.split(|b| *b == b' ').collect();
    let [method, target, version] = parts[..] else { panic!("not three words: {line:?}") };
    assert_eq!(head.text(head.method), method.to_ascii_uppercase());
    assert!(version.starts_with(b"HTTP/1.") && version.len() == 8, "{version:?}");
    assert_eq!(head.version == Version::Http10, version == b"HTTP/1.0");
    let (raw_path, query) = (head.text(head.raw_path), head.text(head.query));
    assert!(raw_path.starts_with(b"/") || raw_path == b"*", "{raw_path:?}");
    assert!(!raw_path.contains(&b'?'));
    let mut rest = target.to_vec();
    if !query.is_empty() || target.ends_with(b"?") {
        let tail = [b"?", query].concat();
        assert!(rest.ends_with(&tail), "the query is the end of the target");
        rest.truncate(rest.len() - tail.len());
    }
    let absolute = rest.len() > 7 && rest[..4].eq_ignore_ascii_case(b"http");
    assert!(rest.ends_with(raw_path) || (absolute && raw_path == b"/"), "{target:?}");
    check_path(head, raw_path);
}

/// Percent-decoded once, and characters exactly where that is UTF-8.
fn check_path(head: &RequestHead, raw: &[u8]) {
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < raw.len() {
        if raw[at] == b'%' {
            let digits = std::str::from_utf8(&raw[at + 1..at + 3]).expect("two hex digits");
            decoded.push(u8::from_str_radix(digits, 16).expect("two hex digits"));
            at += 3;
        } else {
            decoded.push(raw[at]);
            at += 1;
        }
    }
    let is_text = std::str::from_utf8(&decoded).is_ok();
    match &head.path {
        Path::Raw => assert!(decoded == raw && raw.is_ascii()),
        Path::Text(text) => assert!(is_text && *text == decoded),
        Path::Bytes(bytes) => assert!(!is_text && *bytes == decoded),
    }
}

/// Nothing that could end a line, anywhere in what the application sees.
fn check_bytes(head: &RequestHead) {
    let breaks = |bytes: &[u8]| bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
    for (name, value) in head.fields.iter() {
        assert!(!name.is_empty() && name.iter().all(|b| is_tchar(*b)), "name {name:?}");
        assert!(name.iter().all(|b| !b.is_ascii_uppercase()), "name {name:?}");
        assert!(!breaks(value), "value {value:?}");
        assert!(name == b"cookie" || value == value.trim_ascii(), "blanks around a value");
    }
    for span in [head.method, head.raw_path, head.query] {
        assert!(!head.text(span).iter().any(|b| b.is_ascii_control() || *b == b' '));
    }
    assert!(head.text(head.method).iter().all(|b| is_tchar(*b)));
}

fn check_fields(head: &RequestHead, lines: &[(Vec<u8>, Vec<u8>)], limits: &Limits) {
    let plain = |name: &[u8]| name != b"cookie" && name != b"host";
    let seen: Vec<_> = head.fields.iter().filter(|(n, _)| plain(n)).collect();
    let sent: Vec<_> =
        lines.iter().filter(|(n, _)| plain(n)).map(|(n, v)| (&n[..], &v[..])).collect();
    assert_eq!(seen, sent, "fields in wire order");
    let all = |name: &[u8]| -> Vec<&[u8]> {
        lines.iter().filter(|(n, _)| n == name).map(|(_, v)| &v[..]).collect()
    };
    let cookies: Vec<_> = head.fields.iter().filter(|(n, _)| *n == b"cookie").collect();
    assert!(cookies.len() <= 1, "cookies are joined");
    if let Some((_, cookie)) = cookies.first() {
        // Empty ones in front leave no trace.
        let sent = all(b"cookie");
        let sent: Vec<_> = sent.into_iter().skip_while(|value| value.is_empty()).collect();
        assert_eq!(*cookie, sent.join(&b"; "[..]));
    }
    let hosts = head.fields.iter().filter(|(n, _)| *n == b"host").count();
    assert!(hosts == 1 || (hosts == 0 && head.version == Version::Http10));
    assert!(all(b"host").len() <= 1, "two Host lines");
    let counted = |n: &[u8]| !matches!(n, b"cookie" | b"content-type" | b"content-length");
    assert!(lines.iter().filter(|(n, _)| counted(n)).count() <= limits.fields);
}

/// One way to find the end of the body, and no other recipient can find another.
//= RFC 9112 6.3
fn check_framing(head: &RequestHead, lines: &[(Vec<u8>, Vec<u8>)]) {
    let all = |name: &[u8]| -> Vec<&[u8]> {
        lines.iter().filter(|(n, _)| n == name).map(|(_, v)| &v[..]).collect()
    };
    let (lengths, codings) = (all(b"content-length"), all(b"transfer-encoding"));
    assert!(lengths.len() + codings.len().min(1) <= 1, "ambiguous framing");
    match (lengths.first(), codings.is_empty()) {
        (None, true) => assert_eq!(head.body, Body::None),
        (Some(length), _) => {
            let text = std::str::from_utf8(length).expect("digits");
            assert!(text.bytes().all(|b| b.is_ascii_digit()));
            let number = text.parse::<u64>().expect("a number");
            let expected = if number == 0 { Body::None } else { Body::Length(number) };
            assert_eq!(head.body, expected);
        }
        (None, false) => {
            assert_eq!((head.body, head.version), (Body::Chunked, Version::Http11));
            let joined = codings.join(&b","[..]).to_ascii_lowercase();
            let items: Vec<_> = joined.split(|b| *b == b',').map(<[u8]>::trim_ascii).collect();
            assert_eq!(items.last(), Some(&&b"chunked"[..]));
            assert_eq!(items.iter().filter(|item| **item == b"chunked").count(), 1);
        }
    }
}
