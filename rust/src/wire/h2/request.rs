//! Requests as the scopes want them.
//= RFC 9113 8.3.1

use http::request::Parts;

use crate::wire::fields::{Fields, Span};
use crate::wire::h1::target;
use crate::wire::head::Path;
use crate::wire::{Body, Refusal, RequestHead, Version};

/// Largest Content-Length that is read as a number.
const MOST: u64 = i32::MAX as u64;

/// Whether a request breaks a rule that the engine lets pass: it is reset, not answered.
//= RFC 9113 8.2.1, 8.5
//= RFC 9112 3.2
pub fn is_malformed(parts: &Parts) -> bool {
    let is_padded = |value: &[u8]| value.trim_ascii().len() != value.len();
    let is_connect = parts.method == http::Method::CONNECT;
    let hosts = parts.headers.get_all("host").iter().count();
    (is_connect && parts.uri.authority().is_none())
        || (hosts > 1 && parts.uri.authority().is_none())
        || parts.headers.values().any(|value| is_padded(value.as_bytes()))
}

/// A request's fields as they were sent: the pseudo-header fields, with their colon, and then the
/// others. `protocol` is that of an extended CONNECT.
//= RFC 9113 8.3.1
pub fn lines(parts: &Parts, protocol: Option<&str>) -> Fields {
    let mut lines = Fields::default();
    let target = parts.uri.path_and_query().map(|target| target.as_str());
    let pseudo = [
        (":method", Some(parts.method.as_str())),
        (":scheme", parts.uri.scheme_str()),
        (":authority", parts.uri.authority().map(|authority| authority.as_str())),
        (":path", target),
        (":protocol", protocol),
    ];
    for (name, value) in pseudo {
        if let Some(value) = value {
            lines.push(name.as_bytes(), value.as_bytes());
        }
    }
    for (name, value) in &parts.headers {
        lines.push(name.as_str().as_bytes(), value.as_bytes());
    }
    lines
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'a> {
    Plain,
    /// A tunnel, and the protocol inside it where one is told (RFC 8441).
    Connect(Option<&'a str>),
}

/// A request whose pseudo-header fields the protocol has checked. `protocol` is that of an
/// extended CONNECT, `most` the limit on header fields.
pub fn head(
    parts: &Parts,
    protocol: Option<&str>,
    has_body: bool,
    most: usize,
) -> (RequestHead, Result<(), Refusal>) {
    let kind = match parts.method.as_str() {
        "CONNECT" => Kind::Connect(protocol),
        _ => Kind::Plain,
    };
    let mut head = blank(parts);
    let checked = fill(&mut head, parts, kind, has_body);
    let count = parts.headers.len();
    let checked = match kind {
        Kind::Connect(Some(name)) if name.eq_ignore_ascii_case("websocket") => checked,
        Kind::Plain => checked,
        Kind::Connect(_) => Err(Refusal::NoConnect),
    };
    let refusal = if count > most { Err(Refusal::HeaderFieldsTooLarge) } else { checked };
    (head, refusal)
}

fn blank(parts: &Parts) -> RequestHead {
    let values: usize = parts.headers.iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
    let mut fields = Fields {
        bytes: Vec::with_capacity(values + 128),
        spans: Vec::with_capacity(parts.headers.len() + 1),
    };
    let method = fields.append(parts.method.as_str().as_bytes());
    fields.bytes.make_ascii_uppercase();
    RequestHead {
        fields,
        method,
        raw_path: Span::default(),
        query: Span::default(),
        path: Path::Raw,
        version: Version::Http2,
        body: Body::None,
        close: false,
        keep_alive: false,
        expect_continue: false,
        websocket: false,
        event_stream: false,
        scheme: None,
    }
}

fn fill(
    head: &mut RequestHead,
    parts: &Parts,
    kind: Kind<'_>,
    has_body: bool,
) -> Result<(), Refusal> {
    let length = fields(head, parts);
    if let Some(scheme) = parts.uri.scheme_str() {
        head.scheme = Some(head.fields.append(scheme.as_bytes()));
    }
    target(head, parts)?;
    match kind {
        Kind::Connect(_) => {
            head.websocket = true;
            // As over HTTP/1: one of them, and none but this.
            //= RFC 8441 5
            let mut versions = parts.headers.get_all("sec-websocket-version").iter();
            if versions.next().is_none_or(|version| version != "13") || versions.next().is_some() {
                return Err(Refusal::UpgradeRequired);
            }
        }
        Kind::Plain if has_body => head.body = length.map_or(Body::Chunked, Body::Length),
        Kind::Plain => {}
    }
    match head.body {
        Body::Length(length) if length > MOST => Err(Refusal::PayloadTooLarge),
        _ => Ok(()),
    }
}

/// Takes the fields over, `:authority` as Host; returns the body's length.
fn fields(head: &mut RequestHead, parts: &Parts) -> Option<u64> {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut awaits_host = authority.is_some();
    let (mut length, mut cookies) = (None, 0);
    for (name, value) in &parts.headers {
        let (name, mut value) = (name.as_str().as_bytes(), value.as_bytes());
        match name {
            b"host" => match authority {
                // Above the Host field, and a second one of that is none.
                Some(_) if !awaits_host => continue,
                Some(authority) => {
                    awaits_host = false;
                    value = authority;
                }
                None => {}
            },
            b"cookie" => cookies += 1,
            b"content-length" => {
                length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            b"accept" => head.event_stream |= target::wants_event_stream(value),
            _ => {}
        }
        head.fields.push(name, value);
    }
    if let (true, Some(authority)) = (awaits_host, authority) {
        head.fields.push(b"host", authority);
    }
    if cookies > 1 {
        join_cookies(&mut head.fields);
    }
    length
}

/// Cookie crumbs become one line, at the end.
//= PAGI::Spec::Www "Cookie Header Normalization"
//= RFC 9113 8.2.3
fn join_cookies(fields: &mut Fields) {
    let mut joined = Vec::new();
    for (_, value) in fields.iter().filter(|(name, _)| *name == b"cookie") {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(value);
    }
    let bytes = std::mem::take(&mut fields.bytes);
    fields.spans.retain(|(name, _)| name.in_bytes(&bytes) != b"cookie");
    fields.bytes = bytes;
    fields.push(b"cookie", &joined);
}

fn target(head: &mut RequestHead, parts: &Parts) -> Result<(), Refusal> {
    let text = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let whole = head.fields.append(text.as_bytes());
    head.raw_path = whole;
    match text.as_bytes() {
        [b'/', ..] | [b'*'] => target::cut(head, whole),
        _ => Err(Refusal::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method("get").uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn text(head: &RequestHead) -> Vec<String> {
        let text = |b| String::from_utf8_lossy(b).into_owned();
        head.fields.iter().map(|(n, v)| format!("{}={}", text(n), text(v))).collect()
    }

    #[test]
    fn authority_is_the_host() {
        let (head, _) = head(&parts("http://a:1/x?y", &[("x", "1")]), None, false, 9);
        assert_eq!(text(&head), ["x=1", "host=a:1"]);
        assert_eq!((head.text(head.raw_path), head.text(head.query)), (&b"/x"[..], &b"y"[..]));
        assert_eq!(head.text(head.method), b"GET");
        let (head, _) = super::head(&parts("http://a/", &[("host", "b")]), None, false, 9);
        assert_eq!(text(&head), ["host=a"]);
        let (head, _) = super::head(&parts("/", &[("host", "b")]), None, false, 9);
        assert_eq!(text(&head), ["host=b"]);
    }

    #[test]
    fn crumbs_become_one_cookie() {
        let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3")];
        let (head, _) = head(&parts("/", &crumbs), None, false, 9);
        assert_eq!(text(&head), ["x=y", "cookie=a=1; b=2; c=3"]);
        let (head, _) = super::head(&parts("/", &[("cookie", "a=1"), ("x", "y")]), None, false, 9);
        assert_eq!(text(&head), ["cookie=a=1", "x=y"]);
    }

    #[test]
    fn bodies_and_refusals() {
        let with = |headers: &[(&str, &str)], most| {
            let (head, refusal) = head(&parts("/", headers), None, true, most);
            (head.body, refusal.err())
        };
        assert_eq!(with(&[], 9), (Body::Chunked, None));
        assert_eq!(with(&[("content-length", "3")], 9), (Body::Length(3), None));
        let huge = with(&[("content-length", "99999999999")], 9);
        assert_eq!(huge.1, Some(Refusal::PayloadTooLarge));
        let many = with(&[("a", "b"), ("a", "c")], 1);
        assert_eq!(many.1, Some(Refusal::HeaderFieldsTooLarge));
    }
}
