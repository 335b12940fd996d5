//! One request and its response on an HTTP/1 connection: effects to bytes, bytes to a body.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::time::Instant;

use super::body::{DRAIN_BOUND, Outcome, Pace, Reader};
use super::timer::Alarms;
use super::with_date;
use super::write::Queue;
use crate::stream::{Mark, Outbox, Part, Stream};
use crate::wire::h1::persist::{Framing, Plan};
use crate::wire::h1::{response, upgrade};
use crate::wire::{Refusal, ResponseHead};

/// How far the response got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No head yet.
    Waiting,
    /// The head is out; the body is framed like this.
    Body(Framing),
    /// Raw data both ways.
    Tunnel,
    /// The response is complete.
    Ended,
    /// The response broke off.
    Broken,
}

/// A running request.
pub struct Exchange {
    /// The waist to its scope.
    pub stream: Arc<Stream>,
    /// The request body.
    pub body: Reader,
    /// When something last moved, for `request_timeout`.
    pub moved: Instant,
    progress: Progress,
    keep: bool,
    settled: bool,
    reading: bool,
    pace: Pace,
    awaits_continue: bool,
    is_tunnel: bool,
    refused: bool,
    told_stop: bool,
    alarms: Alarms,
    unsent: usize,
    dropped: u64,
}

impl Exchange {
    /// Starts.
    pub fn new(stream: Arc<Stream>, body: Reader, now: Instant) -> Exchange {
        let awaits_continue = stream.request.awaits_continue();
        Exchange {
            stream,
            awaits_continue,
            body,
            moved: now,
            progress: Progress::Waiting,
            keep: false,
            settled: false,
            reading: false,
            is_tunnel: false,
            refused: false,
            told_stop: false,
            alarms: Alarms::default(),
            pace: Pace::default(),
            unsent: 0,
            dropped: 0,
        }
    }

    /// The response is complete or broken off: nothing follows on it.
    pub fn is_over(&self) -> bool {
        matches!(self.progress, Progress::Ended | Progress::Broken)
    }

    /// The response is complete.
    pub fn is_whole(&self) -> bool {
        self.progress == Progress::Ended
    }

    /// The server answered in the application's stead; the connection ends with that.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// The connection may serve another request.
    pub fn may_follow(&self) -> bool {
        self.progress == Progress::Ended && self.keep
    }

    /// The Perl thread is through with the stream.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Raw data flows both ways, or did before it was over.
    pub fn is_tunnel(&self) -> bool {
        self.is_tunnel
    }

    /// Nobody but the client can bring it to its end: the call is over, an orderly end is not.
    pub fn is_parting(&self) -> bool {
        self.progress == Progress::Tunnel
    }

    /// The application has yet to answer a handshake that its client did not wait for the answer of,
    /// and does not wait to hear of an end either: it is to get what came, once it accepts.
    pub fn is_undecided(&self) -> bool {
        self.progress == Progress::Waiting
            && self.stream.request.asks_for_tunnel()
            && self.pace.starved.is_none()
    }

    /// When the stream's next timer is due.
    pub fn next_tick(&self) -> Option<Instant> {
        if self.is_over() { None } else { self.alarms.next() }
    }

    /// Tells the stream of a timer that is due; false if none is.
    pub fn tick(&mut self, now: Instant) -> bool {
        let due = if self.is_over() { None } else { self.alarms.take(now) };
        due.inspect(|timer| self.stream.tick(*timer)).is_some()
    }

    /// Tells the stream of the shutdown, once.
    pub fn stop(&mut self) {
        if !std::mem::replace(&mut self.told_stop, true) {
            self.stream.stop();
        }
    }

    /// Takes the stream's effects and queues their bytes; true if there were any.
    pub fn collect(
        &mut self,
        cx: &Context<'_>,
        spare: &mut Outbox,
        queue: &mut Queue,
        may_persist: bool,
    ) -> bool {
        let taken = self.stream.take(cx, spare);
        self.settled = taken.settled;
        self.reading = taken.reading;
        self.pace.starved = taken.waiting.map(Instant::from_std);
        if !taken.output {
            if taken.active {
                self.moved = Instant::now();
            }
            return self.invite(queue);
        }
        self.unsent += spare.payload();
        if !spare.timers.is_empty() {
            self.alarms.set(&mut spare.timers);
        }
        let mut marks = std::mem::take(&mut spare.marks);
        let mut data = &spare.bytes[..];
        for mark in marks.drain(..) {
            self.write(mark, &mut data, queue, may_persist);
        }
        spare.clear();
        spare.marks = marks;
        true
    }

    /// Tells a client that waits for it to send its body, once the application asks for it.
    //= RFC 9110 10.1.1
    fn invite(&mut self, queue: &mut Queue) -> bool {
        let invited = self.reading && self.awaits_continue && self.progress == Progress::Waiting;
        if invited {
            self.awaits_continue = false;
            queue.append(|out| out.extend_from_slice(response::CONTINUE));
        }
        invited
    }

    fn write(&mut self, mark: Mark, data: &mut &[u8], queue: &mut Queue, may_persist: bool) {
        match mark {
            Mark::Head(head) => self.head(&head, queue, may_persist),
            Mark::Tunnel(head) => {
                queue.append(|out| upgrade::response(out, &self.stream.request, &head));
                self.progress = Progress::Tunnel;
                self.is_tunnel = true;
            }
            Mark::Data(len) => {
                let (piece, rest) = data.split_at(len);
                *data = rest;
                let chunked = self.progress == Progress::Body(Framing::Chunked);
                queue.append(|out| {
                    if chunked {
                        response::chunk_head(out, len);
                    }
                    out.extend_from_slice(piece);
                    if chunked {
                        out.extend_from_slice(b"\r\n");
                    }
                });
            }
            Mark::Block(bytes) if self.progress == Progress::Body(Framing::Chunked) => {
                queue.append(|out| response::chunk_head(out, bytes.len()));
                queue.push(bytes);
                queue.append(|out| out.extend_from_slice(b"\r\n"));
            }
            Mark::Block(bytes) => queue.push(bytes),
            Mark::File(part) => self.file(part, queue),
            Mark::Trailers(fields) => self.trailers(fields, queue),
            Mark::End => self.end(queue),
            Mark::Refuse(refusal) => {
                let request = &self.stream.request;
                let with_body = request.method_kind() != crate::wire::Method::Head;
                with_date(|date| {
                    queue.append(|out| response::refusal(out, refusal, with_body, date));
                });
                self.keep = false;
                self.refused = true;
                self.progress = Progress::Ended;
            }
            Mark::Abort(reason) => {
                self.progress = Progress::Broken;
                if self.stream.keeps_time {
                    // Nobody is there to read what is left.
                    *queue = Queue::default();
                }
                // The application may wait for what will not come any more.
                self.stream.gone(reason);
            }
        }
    }

    fn head(&mut self, head: &ResponseHead, queue: &mut Queue, may_persist: bool) {
        let request = &self.stream.request;
        // A long body that the application never asked for is not worth reading, and one that
        // the client was never invited to send may never come.
        let unasked = self.awaits_continue || (self.body.is_long() && !self.reading);
        let unread = !self.body.is_done() && unasked;
        let plan = Plan::new(request, head, may_persist && !unread);
        self.keep = plan.keep;
        self.progress = Progress::Body(plan.framing);
        with_date(|date| {
            queue.append(|out| response::head(out, head, request.version, plan, date));
        });
    }

    fn file(&mut self, part: Part, queue: &mut Queue) {
        let chunked = self.progress == Progress::Body(Framing::Chunked);
        if chunked {
            let len = usize::try_from(part.left).unwrap_or(usize::MAX);
            queue.append(|out| response::chunk_head(out, len));
        }
        queue.push_file(part);
        if chunked {
            queue.append(|out| out.extend_from_slice(b"\r\n"));
        }
    }

    fn trailers(&mut self, fields: crate::wire::Fields, queue: &mut Queue) {
        if self.progress == Progress::Body(Framing::Chunked) {
            queue.append(|out| response::last_chunk(out, &fields));
            self.progress = Progress::Body(Framing::None);
        }
    }

    fn end(&mut self, queue: &mut Queue) {
        if self.progress == Progress::Body(Framing::Chunked) {
            queue.append(|out| out.extend_from_slice(response::LAST_CHUNK));
        }
        self.progress = Progress::Ended;
    }

    /// Tells the stream what the transport took; `left` bytes of the queue remain.
    ///
    /// Body bytes are counted as the last to leave, so framing never makes the count too small.
    pub fn wrote(&mut self, left: usize) {
        let unsent = self.unsent.min(left);
        if unsent < self.unsent {
            self.stream.wrote(self.unsent - unsent);
            self.unsent = unsent;
        }
    }

    /// Whether more input may be read now.
    pub fn wants_input(&self) -> bool {
        if self.body.is_open() {
            return self.wants_body();
        }
        self.progress != Progress::Tunnel || self.stream.has_room()
    }

    /// Whether input is for this request, not for the next one.
    pub fn takes_input(&self) -> bool {
        self.body.is_open() || self.progress == Progress::Tunnel || self.is_deaf()
    }

    /// An event stream is the last that its connection carries: what else comes in is read for
    /// the sake of its end alone.
    fn is_deaf(&self) -> bool {
        self.stream.keeps_time && !self.body.is_open() && matches!(self.progress, Progress::Body(_))
    }

    /// Input was read that nobody wanted.
    pub fn has_dropped(&self) -> bool {
        self.dropped > 0
    }

    /// Hands raw data on; tells how much of it was taken.
    pub fn tunnel(&mut self, input: &[u8]) -> usize {
        match self.progress {
            Progress::Tunnel if !self.body.is_open() && !input.is_empty() => {
                self.stream.input(input)
            }
            _ => 0,
        }
    }

    /// The client still owes some of the body, and the response is not over.
    pub fn awaits_body(&self) -> bool {
        !self.is_over() && self.body.is_open()
    }

    /// When the client has kept the application waiting for its body for too long: without a
    /// byte since `last_input`, or with too few. None while it is not waiting.
    pub fn body_deadline(&self, timeout: Duration, last_input: Instant) -> Option<Instant> {
        let is_due = self.awaits_body();
        is_due.then(|| self.pace.deadline(&self.body.meter, timeout, last_input)).flatten()
    }

    /// The client is at fault: the server answers in the application's stead if it still can, and
    /// nothing more is read.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.body.refuse();
        self.stream.refuse(refusal);
    }

    /// Bytes of a complete body that an application is reading and has not got yet.
    pub fn unread(&self) -> Option<usize> {
        self.stream.unread().filter(|_| self.body.is_done())
    }

    /// Whether more of the body may be read now.
    pub fn wants_body(&self) -> bool {
        self.body.is_open() && (self.is_over() || self.stream.has_room())
    }

    /// Moves body bytes from `buf` to the stream, or drops them once the response is over;
    /// true if anything moved.
    pub fn feed(&mut self, buf: &mut BytesMut) -> bool {
        let mut moved = false;
        // A client that sends its body does not wait for an invitation.
        self.awaits_continue &= buf.is_empty();
        while self.wants_body() {
            match self.body.read(buf) {
                Ok(Outcome::Piece(piece)) if self.is_over() => self.drop_piece(&piece),
                Ok(Outcome::Piece(piece)) => {
                    let waited = self.stream.feed(piece, self.body.is_done());
                    self.pace.came(waited);
                    moved = true;
                    continue;
                }
                Ok(Outcome::Need) => return moved,
                Ok(Outcome::Done) => {}
                Err(_) if self.is_over() => self.keep = false,
                Err(refusal) => self.stream.refuse(refusal),
            }
            moved = true;
            if self.body.is_done() {
                self.stream.end();
            }
        }
        let taken = if self.is_deaf() { buf.len() } else { self.tunnel(buf) };
        if self.is_deaf() {
            self.dropped += taken as u64;
        }
        buf.advance(taken);
        moved || taken > 0
    }

    /// Reading what nobody wants is worth it only to save the connection.
    fn drop_piece(&mut self, piece: &[u8]) {
        self.dropped += piece.len() as u64;
        if self.dropped > DRAIN_BOUND {
            self.keep = false;
        }
    }
}
