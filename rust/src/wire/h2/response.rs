//! Responses as the protocol wants them.
//= RFC 9113 8.2, 8.3.2

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, SERVER, TE,
    UPGRADE,
};
use http::{Response, StatusCode};

use crate::wire::{Fields, Refusal, ResponseHead};

const NAME: HeaderValue = HeaderValue::from_static(concat!("PAGI::Server/", "0.003000"));

/// Most fields that a head may have: what the engine's map of them has room for.
const MOST_FIELDS: usize = 24_000;

/// The head of an application's response: its fields in its order, then `date` and `server`. None
/// where there are too many of them.
pub fn head(head: &ResponseHead, date: &[u8]) -> Option<Response<()>> {
    let mut response = blank(head.status);
    let fields = response.headers_mut();
    add(fields, &head.fields)?;
    if matches!(head.status, 204 | 205) {
        // Neither has a body: the one says so by its status, the other by its length.
        fields.remove(CONTENT_LENGTH);
    }
    if head.status == 205 {
        fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if !head.has_date {
        insert_date(fields, date);
    }
    if !head.has_server {
        fields.insert(SERVER, NAME);
    }
    Some(response)
}

/// The head of a success that turns the stream into a tunnel: the application's fields alone.
//= RFC 8441 5
pub fn tunnel(head: &ResponseHead) -> Option<Response<()>> {
    plain(200, &head.fields)
}

/// A head of these fields alone. None where there are too many of them.
pub fn plain(status: u16, fields: &Fields) -> Option<Response<()>> {
    let mut response = blank(status);
    add(response.headers_mut(), fields)?;
    Some(response)
}

/// A response of the server's own, and its body. The contract has a line end after the bodies of
/// those that are made before the application is called, and where it failed.
pub fn refusal(refusal: Refusal, early: bool, date: &[u8]) -> (Response<()>, String) {
    let mut body = refusal.body().to_owned();
    if early || refusal == Refusal::InternalServerError {
        body.push('\n');
    }
    let mut response = blank(refusal.status());
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    insert_date(fields, date);
    for (name, value) in refusal.lines().lines().filter_map(|line| line.split_once(": ")) {
        let mut given = Fields::default();
        given.push(name.as_bytes(), value.as_bytes());
        let _ = add(fields, &given);
    }
    fields.insert(SERVER, NAME);
    (response, body)
}

/// Trailer fields, unless there are too many.
pub fn trailers(fields: &Fields) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    add(&mut trailers, fields)?;
    Some(trailers)
}

fn blank(status: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response
}

/// What the protocol has no place for is left out: fields about the connection, and values that
/// it cannot carry.
//= RFC 9113 8.2.1, 8.2.2
fn add(to: &mut HeaderMap, fields: &Fields) -> Option<()> {
    let count = fields.spans.len();
    if count > MOST_FIELDS {
        return None;
    }
    to.reserve(count + 2);
    for (name, value) in fields.iter() {
        let value = HeaderValue::from_bytes(value.trim_ascii());
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) else { continue };
        if name == UPGRADE || name == CONNECTION || (name == TE && value != "trailers") {
            continue;
        }
        to.append(name, value);
    }
    Some(())
}

fn insert_date(fields: &mut HeaderMap, date: &[u8]) {
    if let Ok(date) = HeaderValue::from_bytes(date) {
        fields.insert(DATE, date);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(response: &Response<()>) -> Vec<&str> {
        response.headers().keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn the_version_in_the_server_field_is_the_crates() {
        assert_eq!(NAME, format!("PAGI::Server/{}", crate::VERSION));
    }

    #[test]
    fn fields_of_the_connection_stay_behind() {
        let mut given = ResponseHead { status: 200, ..ResponseHead::default() };
        for (name, value) in
            [("X-A", " b "), ("Upgrade", "h2c"), ("TE", "gzip"), ("Connection", "close")]
        {
            given.add(name.as_bytes(), value.as_bytes());
        }
        let response = head(&given, b"D").expect("a head");
        assert_eq!(names(&response), ["x-a", "date", "server"]);
        assert_eq!(response.headers()["x-a"], "b");
    }

    #[test]
    fn a_head_has_room_for_so_many_fields_and_no_more() {
        for (count, fits) in [(MOST_FIELDS, true), (MOST_FIELDS + 1, false), (70_000, false)] {
            let mut given = ResponseHead { status: 200, ..ResponseHead::default() };
            for number in 0..count {
                given.add(format!("x-{number}").as_bytes(), b"1");
            }
            assert_eq!(head(&given, b"D").is_some(), fits, "{count}");
            assert_eq!(tunnel(&given).is_some(), fits);
            assert_eq!(trailers(&given.fields).is_some(), fits);
        }
    }

    #[test]
    fn no_length_where_there_is_no_body() {
        for (status, length) in [(200, Some("5")), (204, None), (205, Some("0")), (304, Some("5"))]
        {
            let mut given = ResponseHead { status, ..ResponseHead::default() };
            given.add(b"content-length", b"5");
            let response = head(&given, b"D").expect("a head");
            let sent = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
            assert_eq!(sent, length, "{status}");
        }
    }

    #[test]
    fn bodies_of_refusals() {
        let body = |which, early| refusal(which, early, b"D").1;
        assert_eq!(body(Refusal::PayloadTooLarge, true), "Payload Too Large\n");
        assert_eq!(body(Refusal::PayloadTooLarge, false), "Payload Too Large");
        assert_eq!(body(Refusal::InternalServerError, false), "Internal Server Error\n");
    }
}
