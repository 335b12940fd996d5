//! What a call of the application did.

use std::sync::Arc;

use pagi_server::scope::Ended;
use pagi_server::stream::Stream;
use pagi_server::wire::Method;

/// What one call did, for the check of its response.
pub struct Record {
    /// The stream.
    pub stream: Arc<Stream>,
    /// Status and declared length of the response that it started.
    pub started: Option<(u16, Option<u64>)>,
    /// The body that was accepted of it.
    pub body: Vec<u8>,
    /// Its last event was accepted.
    pub completed: bool,
    /// It asked for the request body.
    pub asked: bool,
    /// How it ended.
    pub ended: Option<Ended>,
    pub(crate) received: u64,
    pub(crate) had_last: bool,
    pub(crate) disconnected: bool,
}

impl Record {
    /// A call that has done nothing yet.
    pub(crate) fn new(stream: Arc<Stream>) -> Record {
        Record {
            stream,
            started: None,
            body: Vec::new(),
            completed: false,
            asked: false,
            ended: None,
            received: 0,
            had_last: false,
            disconnected: false,
        }
    }

    /// The request was HEAD, or the status has no body.
    pub fn is_bodyless(&self) -> bool {
        let status = self.started.map_or(0, |(status, _)| status);
        self.is_head() || matches!(status, 204 | 304)
    }

    /// The request was HEAD.
    pub fn is_head(&self) -> bool {
        self.stream.request.method_kind() == Method::Head
    }

    /// Takes over a piece that the stream accepted, as far as the declared length goes.
    pub(crate) fn accept(&mut self, piece: &[u8]) {
        if self.is_bodyless() {
            return;
        }
        let declared = self.started.and_then(|(_, declared)| declared).unwrap_or(u64::MAX);
        let room = declared.saturating_sub(self.body.len() as u64).min(piece.len() as u64);
        self.body.extend_from_slice(&piece[..room as usize]);
    }
}
