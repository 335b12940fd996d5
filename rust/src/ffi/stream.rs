//! Streams across the boundary.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::value::{Owned, RawPairs, RawValue, Text};
use crate::error::SendError;
use crate::event::{self, MAX_FIELDS, Receive, Value, scope};
use crate::scope::Ended;
use crate::stream::{Received, Stream};

/// The stream behind a handle, without touching its count.
fn stream(handle: *const Stream) -> ManuallyDrop<Arc<Stream>> {
    // SAFETY: "Handles": the caller holds a count, which `ManuallyDrop` leaves to it.
    ManuallyDrop::new(unsafe { Arc::from_raw(handle) })
}

super::export! {
    /// Gives a stream reference back.
    fn pagi_stream_free(handle: *const Stream) -> (), (), {
        // SAFETY: "Handles": the count that came with the arrival, given back once.
        drop(unsafe { Arc::from_raw(handle) });
    }
}

super::export! {
    /// The Perl side's own word for the stream; 0 before it is set.
    fn pagi_stream_token(handle: *const Stream) -> usize, 0, {
        stream(handle).token().load(Ordering::Relaxed)
    }
}

super::export! {
    /// Sets the Perl side's own word for the stream.
    fn pagi_stream_set_token(handle: *const Stream, token: usize) -> (), (), {
        stream(handle).token().store(token, Ordering::Relaxed);
    }
}

/// One value of a scope. For an address `num` is the port, -1 for none.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ScopeValue {
    pub text: Text,
    pub num: i64,
}

super::export! {
    /// Which scope the stream has, as a place in `pagi_scope_name`.
    fn pagi_stream_kind(handle: *const Stream) -> u8, 0, { stream(handle).kind as u8 }
}

super::export! {
    /// Fills `out` with the values of the scope's keys, in the order of `pagi_scope_row`; the
    /// number of header tuples is returned. `keep` holds what was made for the occasion; the
    /// caller frees it.
    fn pagi_stream_scope(
        handle: *const Stream, out: *mut ScopeValue, keep: &mut Owned,
    ) -> usize, 0, {
        let stream = stream(handle);
        let request = &stream.request;
        let text = |bytes: &[u8]| ScopeValue { text: Text::of(bytes), num: 0 };
        let is_secure = stream.peer.tls.is_some();
        let number = stream.peer.tls.as_ref().map_or(0, |facts| facts.number as i64);
        for (index, key) in stream.kind.keys().iter().enumerate() {
            let value = match key.name {
                "type" => text(stream.kind.name().as_bytes()),
                "pagi" => text(scope::SPEC_VERSION.as_bytes()),
                "http_version" => text(request.version.text().as_bytes()),
                "method" => text(request.text(request.method)),
                "subprotocols" => {
                    *keep = Owned::of(request.list(b"sec-websocket-protocol"));
                    ScopeValue { text: keep.text(), num: 0 }
                }
                "scheme" => match request.scheme.filter(|_| stream.kind.is_told_scheme()) {
                    Some(told) => text(request.text(told)),
                    None => text(stream.kind.scheme(is_secure).as_bytes()),
                },
                "extensions" => {
                    let own = Text::of(stream.kind.extension().as_bytes());
                    ScopeValue { text: own, num: number }
                }
                "path" => {
                    let (path, is_text) = request.path();
                    ScopeValue { text: Text::of(path), num: i64::from(is_text) }
                }
                "raw_path" => text(request.text(request.raw_path)),
                "query_string" => text(request.text(request.query)),
                "client" => match &stream.peer.client {
                    Some((host, port)) => {
                        ScopeValue { text: Text::of(host.as_bytes()), num: i64::from(*port) }
                    }
                    None => ScopeValue { text: Text::EMPTY, num: -1 },
                },
                "server" => {
                    let (host, port) = &stream.peer.server;
                    let port = port.map_or(-1, i64::from);
                    ScopeValue { text: Text::of(host.as_bytes()), num: port }
                }
                _ => ScopeValue { text: Text::EMPTY, num: 0 },
            };
            // SAFETY: "Outputs": the caller reserved one slot per scope row.
            unsafe { out.add(index).write(value) };
        }
        request.fields.spans.len()
    }
}

super::export! {
    /// Fills `out` with the values of the extension `tls`, in the order of `pagi_tls_row`; 0
    /// where the connection is without TLS.
    fn pagi_stream_tls(handle: *const Stream, out: *mut ScopeValue) -> u8, 0, {
        let stream = stream(handle);
        let Some(facts) = &stream.peer.tls else { return 0 };
        let maybe = |text: Option<&str>| match text {
            Some(text) => ScopeValue { text: Text::of(text.as_bytes()), num: 1 },
            None => ScopeValue { text: Text::EMPTY, num: -1 },
        };
        let number = |number: Option<u16>| {
            ScopeValue { text: Text::EMPTY, num: number.map_or(-1, i64::from) }
        };
        for (index, key) in scope::TLS.iter().enumerate() {
            let value = match key.name {
                "server_cert" => maybe(facts.server_cert.as_deref()),
                "client_cert_name" => maybe(facts.client_cert_name.as_deref()),
                "client_cert_error" => maybe(facts.client_cert_error.as_deref()),
                "tls_version" => number(facts.tls_version),
                "cipher_suite" => number(facts.cipher_suite),
                _ => {
                    ScopeValue { text: Text::EMPTY, num: facts.client_cert_chain.len() as i64 }
                }
            };
            // SAFETY: "Outputs": the caller reserved one slot per row.
            unsafe { out.add(index).write(value) };
        }
        1
    }
}

super::export! {
    /// The client's certificate at `index`, leaf first.
    fn pagi_stream_client_cert(handle: *const Stream, index: usize) -> Text, Text::EMPTY, {
        let stream = stream(handle);
        let chain = stream.peer.tls.as_ref().map(|facts| &facts.client_cert_chain);
        let cert = chain.and_then(|chain| chain.get(index));
        cert.map_or(Text::EMPTY, |cert| Text::of(cert.as_bytes()))
    }
}

super::export! {
    /// The header tuple at `index`.
    fn pagi_stream_header(
        handle: *const Stream, index: usize, name: &mut Text, value: &mut Text,
    ) -> u8, 0, {
        let stream = stream(handle);
        let fields = &stream.request.fields;
        let Some((n, v)) = fields.spans.get(index) else { return 0 };
        *name = Text::of(n.in_bytes(&fields.bytes));
        *value = Text::of(v.in_bytes(&fields.bytes));
        1
    }
}

/// Keeps the bytes of a received event alive until C has copied them.
pub struct Delivery {
    _event: Receive,
}

/// A received event: its row, its values, and what keeps them alive.
#[repr(C)]
pub struct RawEvent {
    pub row: usize,
    pub values: [RawValue; MAX_FIELDS],
    pub keep: *mut Delivery,
}

/// What [`pagi_stream_receive`] did, as bits; `xs/pagi_core.h` has the same numbers.
mod got {
    pub const GOT: u8 = 1;
    pub const WAKE: u8 = 2;
}

super::export! {
    /// The next event for the application, in `out` if there is one; and whether the core must be
    /// woken. The caller frees the event with `pagi_event_free`.
    fn pagi_stream_receive(handle: *const Stream, out: &mut RawEvent) -> u8, 0, {
        let (received, room) = stream(handle).receive();
        let wake = if room { got::WAKE } else { 0 };
        let Received::Event(event) = received else { return wake };
        let mut values = [Value::Absent; MAX_FIELDS];
        event.values(&mut values);
        let mut bytes = 0;
        for (raw, value) in out.values.iter_mut().zip(&values) {
            *raw = RawValue::of(value);
            bytes += raw.text.len;
        }
        out.row = event.row();
        out.keep = std::ptr::null_mut();
        if bytes > 0 {
            // The values point into what the event owns, which stays where it is.
            out.keep = Box::into_raw(Box::new(Delivery { _event: event }));
        }
        got::GOT | wake
    }
}

super::export! {
    /// Frees what keeps a received event alive.
    fn pagi_event_free(keep: *mut Delivery) -> (), (), {
        if !keep.is_null() {
            // SAFETY: "Handles": from `pagi_stream_receive`, freed once.
            drop(unsafe { Box::from_raw(keep) });
        }
    }
}

/// What a send did, as bits; `xs/pagi_core.h` has the same numbers.
mod did {
    pub const REFUSED: u32 = 1;
    pub const STARTED: u32 = 2;
    pub const COMPLETED: u32 = 4;
    pub const PARKED: u32 = 8;
    pub const EXCESS: u32 = 16;
    pub const HIGH: u32 = 32;
    pub const FULL: u32 = 64;
    pub const BODY: u32 = 128;
    pub const FLUSHED: u32 = 256;
    pub const NOT_ENABLED: u32 = 512;
}

super::export! {
    /// Takes an event of the application. `row` is its place in `pagi_event_row`, or -1 for an
    /// unknown type `given`. A refusal leaves its text in `error`.
    fn pagi_stream_send(
        handle: *const Stream, row: isize, given: Text, values: *const RawValue, error: &mut Owned,
    ) -> u32, did::REFUSED, {
        let stream = stream(handle);
        let row = usize::try_from(row).ok();
        let count = row.and_then(|at| event::rows().nth(at)).map_or(0, |row| row.fields.len());
        let values: &[RawValue] = if count == 0 { &[] } else {
            // SAFETY: "Texts": the caller decoded one value per field of the row.
            unsafe { std::slice::from_raw_parts(values, count) }
        };
        let pairs: [RawPairs<'_>; MAX_FIELDS] =
            std::array::from_fn(|at| values.get(at).map_or(RawPairs(&[]), RawValue::pairs));
        let typed: [Value<'_>; MAX_FIELDS] = std::array::from_fn(|at| {
            values.get(at).map_or(Value::Absent, |value| value.value(&pairs[at]))
        });
        let buffered = stream.buffered();
        let given = if row.is_none() { given.string() } else { String::new() };
        match stream.send(row, &given, &typed) {
            Err(refusal) => {
                *error = Owned::new(refusal.to_string());
                match refusal {
                    SendError::Extension(_) => did::REFUSED | did::NOT_ENABLED,
                    _ => did::REFUSED,
                }
            }
            Ok(sent) => {
                let now = stream.buffered();
                let full = if sent.file { now } else { buffered };
                let parked = sent.body && full >= stream.marks.high;
                let bit = |on: bool, bit: u32| if on { bit } else { 0 };
                bit(sent.started, did::STARTED)
                    | bit(sent.completed, did::COMPLETED)
                    | bit(sent.excess, did::EXCESS)
                    | bit(sent.body, did::BODY)
                    | bit(parked, did::PARKED)
                    | bit(sent.body && now >= stream.marks.high, did::HIGH)
                    | bit(sent.body && stream.is_corked_full(), did::FULL)
                    | bit(sent.flushed, did::FLUSHED)
            }
        }
    }
}

super::export! {
    /// Whether `max_requests` counts it.
    fn pagi_stream_counts(handle: *const Stream) -> u8, 0, {
        u8::from(stream(handle).is_counted())
    }
}

super::export! {
    /// Whether whatever is sent is not looked at any more.
    fn pagi_stream_is_silent(handle: *const Stream) -> u8, 1, {
        u8::from(stream(handle).is_silent())
    }
}

super::export! {
    /// Its number on its connection; 0 where they have none.
    fn pagi_stream_id(handle: *const Stream) -> u32, 0, { stream(handle).id }
}

super::export! {
    /// Queues the stream for its connection.
    fn pagi_stream_post(handle: *const Stream) -> (), (), { stream(handle).post() }
}

super::export! {
    /// The application's call ended; how that stands against what it sent (`scope::Ended`).
    fn pagi_stream_returned(handle: *const Stream, ok: u8) -> u8, Ended::Gone as u8, {
        stream(handle).returned(ok != 0) as u8
    }
}

super::export! {
    /// Takes the news bits.
    fn pagi_stream_news(handle: *const Stream) -> u8, 0, { stream(handle).take_news() }
}

super::export! {
    /// Learns of the connection's end: its reason, empty if the stream had ended before.
    fn pagi_stream_gone(handle: *const Stream) -> Text, Text::EMPTY, {
        stream(handle).take_gone().map_or(Text::EMPTY, |reason| Text::of(reason.token().as_bytes()))
    }
}

super::export! {
    /// Why a file on its way could not be read, as a failure's text, once; none where none failed.
    fn pagi_stream_take_fault(handle: *const Stream) -> Owned, Owned::NONE, {
        stream(handle).take_fault().map_or(Owned::NONE, |text| Owned::new(format!("{text}\n")))
    }
}

super::export! {
    /// Bytes sent and not yet handed to the transport.
    fn pagi_stream_buffered(handle: *const Stream) -> usize, 0, { stream(handle).buffered() }
}

super::export! {
    /// The high watermark in bytes.
    fn pagi_stream_high(handle: *const Stream) -> usize, 0, { stream(handle).marks.high }
}

super::export! {
    /// The low watermark in bytes.
    fn pagi_stream_low(handle: *const Stream) -> usize, 0, { stream(handle).marks.low }
}

super::export! {
    /// Asks for news once the output is below the low mark.
    fn pagi_stream_arm_drain(handle: *const Stream) -> (), (), { stream(handle).arm_drain() }
}

super::export! {
    /// As above, but nothing is told of output that is lost.
    fn pagi_stream_watch_drain(handle: *const Stream) -> (), (), { stream(handle).watch_drain() }
}

super::export! {
    /// The Future of the last `$receive` that waited was cancelled.
    fn pagi_stream_stop_waiting(handle: *const Stream) -> (), (), {
        stream(handle).stop_waiting();
    }
}
