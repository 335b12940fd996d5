//! The HTTP/1.1 codec across the boundary: buffers in memory, no connection.

use std::cell::RefCell;
use std::time::SystemTime;

use super::value::{Owned, RawPairs, RawValue, Text, tag};
use crate::error::{HeaderFault, SendError};
use crate::event::sse::SseSend;
use crate::event::{self, MAX_FIELDS, PairList, Table, Value};
use crate::wire::h1::request::Limits;
use crate::wire::h1::{response, whole};
use crate::wire::{Body, Date, Fields, Refusal, RequestHead, Version, fields, h2, sse};

/// Largest limit of a head: offsets in it are 32 bits wide.
const MOST: usize = 1 << 30;

/// What was found at the front of a buffer: nothing yet (`used` is 0), a refusal (`status` is not
/// 0), or a head, in whose texts `keep` is; the caller frees it with `pagi_codec_free`.
#[repr(C)]
pub struct RawHead {
    pub status: u16,
    pub message: Text,
    pub used: usize,
    pub method: Text,
    pub path: Text,
    pub raw_path: Text,
    pub query: Text,
    pub version: Text,
    pub is_text: u8,
    pub length: i64,
    pub is_chunked: u8,
    pub awaits_continue: u8,
    pub keep: *mut RequestHead,
}

impl RawHead {
    const NONE: RawHead = RawHead {
        status: 0,
        message: Text::EMPTY,
        used: 0,
        method: Text::EMPTY,
        path: Text::EMPTY,
        raw_path: Text::EMPTY,
        query: Text::EMPTY,
        version: Text::EMPTY,
        is_text: 0,
        length: -1,
        is_chunked: 0,
        awaits_continue: 0,
        keep: std::ptr::null_mut(),
    };

    fn of(request: Box<RequestHead>, used: usize) -> RawHead {
        let (path, is_text) = request.path();
        RawHead {
            used,
            method: Text::of(request.text(request.method)),
            path: Text::of(path),
            raw_path: Text::of(request.text(request.raw_path)),
            query: Text::of(request.text(request.query)),
            version: Text::of(request.version.text().as_bytes()),
            is_text: u8::from(is_text),
            length: length(&request),
            is_chunked: u8::from(request.body == Body::Chunked),
            awaits_continue: u8::from(request.expect_continue),
            keep: Box::into_raw(request),
            ..RawHead::NONE
        }
    }

    fn refused(refusal: Refusal, used: usize) -> RawHead {
        let message = Text::of(refusal.body().as_bytes());
        RawHead { status: refusal.status(), message, used, ..RawHead::NONE }
    }
}

/// The Content-Length as declared, 0 included; -1 for none.
fn length(request: &RequestHead) -> i64 {
    let digits = request.fields.first(b"content-length").map(std::str::from_utf8);
    digits.and_then(|digits| digits.ok()?.parse().ok()).unwrap_or(-1)
}

super::export! {
    /// Reads the request head at the front of a buffer.
    fn pagi_codec_head(buf: Text, line: usize, head: usize, fields: usize, out: &mut RawHead)
        -> (), (), {
        *out = RawHead::NONE;
        let limits = Limits { request_line: line.min(MOST), head: head.min(MOST), fields };
        match whole::head(buf.bytes(), &limits) {
            Ok(None) => {}
            Ok(Some((request, used))) => *out = RawHead::of(Box::new(request), used),
            Err((refusal, used)) => *out = RawHead::refused(refusal, used),
        }
    }
}

super::export! {
    /// The header tuple at `index`; 0 past the last.
    fn pagi_codec_field(head: *const RequestHead, index: usize, name: &mut Text, value: &mut Text)
        -> u8, 0, {
        // SAFETY: "Handles": from `pagi_codec_head`.
        let fields = unsafe { &(*head).fields };
        let Some((n, v)) = fields.spans.get(index) else { return 0 };
        *name = Text::of(n.in_bytes(&fields.bytes));
        *value = Text::of(v.in_bytes(&fields.bytes));
        1
    }
}

super::export! {
    /// Frees a head.
    fn pagi_codec_free(head: *mut RequestHead) -> (), (), {
        // SAFETY: "Handles": from `pagi_codec_head`, freed once.
        drop(unsafe { Box::from_raw(head) });
    }
}

/// The whole chunks at the front of a buffer, or a refusal (`status` is not 0).
#[repr(C)]
pub struct RawChunks {
    pub status: u16,
    pub message: Text,
    pub used: usize,
    pub is_last: u8,
    pub data: Owned,
}

super::export! {
    /// Decodes the whole chunks at the front of a buffer.
    fn pagi_codec_chunks(buf: Text, max_chunk: usize, out: &mut RawChunks) -> (), (), {
        *out = match whole::chunks(buf.bytes(), max_chunk as u64) {
            Ok(chunks) => RawChunks {
                status: 0,
                message: Text::EMPTY,
                used: chunks.used,
                is_last: u8::from(chunks.is_last),
                data: Owned::of(chunks.data),
            },
            Err(refusal) => RawChunks {
                status: refusal.status(),
                message: Text::of(refusal.body().as_bytes()),
                used: 0,
                is_last: 0,
                data: Owned::NONE,
            },
        };
    }
}

/// Header tuples of Perl's as checked fields.
pub fn checked(headers: &RawValue) -> Result<Fields, HeaderFault> {
    if !matches!(headers.tag, tag::PAIRS | tag::ABSENT) {
        return Err(HeaderFault::NotAPair);
    }
    let (pairs, mut checked) = (headers.pairs(), Fields::default());
    for index in 0..pairs.count() {
        let pair = pairs.pair(index)?;
        fields::check(pair.name, pair.value)?;
        checked.push(pair.name, pair.value);
    }
    Ok(checked)
}

/// What `write` makes of checked header tuples; a fault leaves its text in `error`.
fn written(
    headers: &RawValue,
    error: &mut Owned,
    write: impl FnOnce(&mut Vec<u8>, &Fields),
) -> Owned {
    match checked(headers) {
        Ok(fields) => {
            let mut out = Vec::new();
            write(&mut out, &fields);
            Owned::of(out)
        }
        Err(fault) => {
            *error = Owned::new(SendError::Header(fault).to_string());
            Owned::NONE
        }
    }
}

super::export! {
    /// The head of a response; a fault of its fields leaves its text in `error`.
    fn pagi_codec_start(
        status: u16, headers: &RawValue, is_chunked: u8, is_1_0: u8, error: &mut Owned,
    ) -> Owned, Owned::NONE, {
        let version = if is_1_0 == 0 { Version::Http11 } else { Version::Http10 };
        written(headers, error, |out, fields| {
            response::plain_head(out, status, version, fields, is_chunked != 0);
        })
    }
}

super::export! {
    /// Trailer fields; a fault leaves its text in `error`.
    fn pagi_codec_trailers(headers: &RawValue, error: &mut Owned) -> Owned, Owned::NONE, {
        written(headers, error, response::section)
    }
}

super::export! {
    /// A chunk, and the last one behind it where no more is to come.
    fn pagi_codec_chunk(data: Text, more: u8) -> Owned, Owned::NONE, {
        let mut out = Vec::with_capacity(data.len + 32);
        response::chunk_head(&mut out, data.len);
        out.extend_from_slice(data.bytes());
        out.extend_from_slice(b"\r\n");
        if more == 0 {
            out.extend_from_slice(response::LAST_CHUNK);
        }
        Owned::of(out)
    }
}

super::export! {
    /// The last chunk, without trailers.
    fn pagi_codec_last_chunk() -> Text, Text::EMPTY, { Text::of(response::LAST_CHUNK) }
}

super::export! {
    /// The interim response to `Expect: 100-continue`.
    fn pagi_codec_continue() -> Text, Text::EMPTY, { Text::of(response::CONTINUE) }
}

super::export! {
    /// What an HTTP/2 client sends first.
    fn pagi_codec_preface() -> Text, Text::EMPTY, { Text::of(h2::PREFACE) }
}

/// The bytes of an event for an event stream.
fn stream_bytes(row: usize, values: &[Value<'_>]) -> Result<Vec<u8>, SendError> {
    let none = || SendError::Unsupported("this event");
    let (table, at) = event::locate(row).ok_or_else(none)?;
    match SseSend::read(at, values)? {
        SseSend::Send { data, event, id, retry } if table == Table::SseSend => {
            let dispatch = sse::Dispatch::new(&sse::Given { event, data, id, retry });
            Ok(dispatch.map_err(|fault| SendError::Invalid(fault.text()))?.bytes())
        }
        SseSend::Comment { comment } if table == Table::SseSend => {
            Ok(sse::comment(comment.unwrap_or_default()))
        }
        _ => Err(none()),
    }
}

super::export! {
    /// The bytes of an `sse.send` or an `sse.comment`, decoded by its row; a refusal leaves its
    /// text in `error`.
    fn pagi_codec_event(row: isize, values: *const RawValue, error: &mut Owned)
        -> Owned, Owned::NONE, {
        // SAFETY: "Texts": the caller decoded into an array of the largest size.
        let values = unsafe { std::slice::from_raw_parts(values, MAX_FIELDS) };
        let typed: [Value<'_>; MAX_FIELDS] =
            std::array::from_fn(|at| values[at].value(&RawPairs(&[])));
        let bytes = usize::try_from(row).map_err(|_| SendError::Unsupported("this event"));
        match bytes.and_then(|row| stream_bytes(row, &typed)) {
            Ok(bytes) => Owned::of(bytes),
            Err(refusal) => {
                *error = Owned::new(refusal.to_string());
                Owned::NONE
            }
        }
    }
}

thread_local! {
    static DATE: RefCell<Date> = RefCell::default();
}

super::export! {
    /// The time now as IMF-fixdate, rendered at most once a second.
    fn pagi_codec_date() -> Owned, Owned::NONE, {
        DATE.with_borrow_mut(|date| Owned::of(date.at(SystemTime::now()).to_vec()))
    }
}
