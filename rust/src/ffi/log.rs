//! The access log language across the boundary: one line from plain values.

use std::time::{Duration, SystemTime};

use super::value::{Owned, RawValue, Text};
use crate::event::PairList;
use crate::server::access_log::{Format, Request, Time};
use crate::wire::Fields;

/// A finished request as Perl tells of it. A text without a pointer is not known; `time` counts
/// where there is no `stamp`.
#[repr(C)]
pub struct RawLogInfo {
    pub client: Text,
    pub stamp: Text,
    pub method: Text,
    pub path: Text,
    pub query: Text,
    pub version: Text,
    pub time: f64,
    pub duration: f64,
    pub status: u16,
    pub size: usize,
    pub headers: RawValue,
}

fn known<'a>(text: Text) -> Option<&'a [u8]> {
    (!text.ptr.is_null()).then(|| text.bytes())
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

fn line(format: &Format, info: &RawLogInfo) -> String {
    let (client, version) = (info.client.string(), info.version.string());
    let (pairs, mut fields) = (info.headers.pairs(), Fields::default());
    for pair in (0..pairs.count()).filter_map(|at| pairs.pair(at).ok()) {
        fields.push(pair.name, pair.value);
    }
    let at = SystemTime::UNIX_EPOCH.checked_add(seconds(info.time));
    format.line(&Request {
        reason: None,
        client: known(info.client).map(|_| client.as_str()),
        time: known(info.stamp).map_or_else(|| at.map_or_else(Time::default, Time::At), Time::Text),
        method: known(info.method),
        path: known(info.path),
        query: info.query.bytes(),
        version: known(info.version).map(|_| version.as_str()),
        status: info.status,
        bytes: info.size as u64,
        duration: seconds(info.duration),
        fields: Some(&fields),
    })
}

super::export! {
    /// Whether an access log format compiles: nothing, or the text that says why not.
    fn pagi_log_check(format: Text) -> Owned, Owned::NONE, {
        Format::compile(&format.string()).map_or_else(Owned::new, |_| Owned::NONE)
    }
}

super::export! {
    /// The line of a request in a format that compiles.
    fn pagi_log_line(format: Text, info: &RawLogInfo) -> Owned, Owned::NONE, {
        Format::compile(&format.string())
            .map_or(Owned::NONE, |format| Owned::new(line(&format, info)))
    }
}
