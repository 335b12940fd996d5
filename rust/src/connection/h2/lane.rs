//! One stream of a connection: effects to frames, frames to a body.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use tokio::time::Instant;

use super::inbound::{Inbound, Read};
use super::outgoing::{Outgoing, Stuck};
use crate::connection::timer::Alarms;
use crate::connection::with_date;
use crate::error::Reason;
use crate::stream::{Mark, Outbox, Stream};
use crate::wire::h2::response;
use crate::wire::{Refusal, ResponseHead};

/// How far the response got.
///
/// ```text
/// Waiting --head--> Body | Tunnel --end--> Ended
/// any --abort--> Breaking: what is queued leaves, then the stream is reset
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Body,
    Tunnel,
    Ended,
    Breaking(h2::Reason),
}

/// A stream that is being served.
pub struct Lane {
    /// The waist to its scope.
    pub stream: Arc<Stream>,
    /// Its timers.
    pub alarms: Alarms,
    /// What comes in.
    pub inbound: Inbound,
    /// When something last moved, for `request_timeout`.
    pub moved: Instant,
    /// Since when the client has not taken any of the output.
    pub write_since: Instant,
    respond: SendResponse<Bytes>,
    sending: Option<SendStream<Bytes>>,
    held: Option<Box<ResponseHead>>,
    out: Outgoing,
    progress: Progress,
    is_settled: bool,
    /// The server is shutting down.
    pub told_stop: bool,
    takes_all: bool,
}

/// What becomes of a stream after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Lives,
    /// It is over.
    Over,
    /// It is to be reset once the engine has written what it can.
    Reset,
    /// The whole connection is over.
    All,
}

/// What a round is about.
pub struct Round<'a> {
    /// An empty outbox, for its buffers.
    pub spare: &'a mut Outbox,
    /// The server is shutting down.
    pub is_draining: bool,
}

impl Lane {
    /// A stream for a request that was accepted.
    pub fn new(
        stream: Arc<Stream>,
        respond: SendResponse<Bytes>,
        body: RecvStream,
        limit: Option<u64>,
    ) -> Lane {
        let now = Instant::now();
        let is_tunnel = stream.request.asks_for_tunnel();
        Lane {
            inbound: Inbound::new(body, is_tunnel, limit),
            stream,
            alarms: Alarms::default(),
            moved: now,
            write_since: now,
            respond,
            sending: None,
            held: None,
            out: Outgoing::default(),
            progress: Progress::Waiting,
            is_settled: false,
            told_stop: false,
            takes_all: false,
        }
    }

    /// The response is complete or broken off.
    pub fn is_over(&self) -> bool {
        matches!(self.progress, Progress::Ended | Progress::Breaking(_))
    }

    /// The application has yet to answer a handshake, and its client has ended behind messages.
    pub fn is_undecided(&self) -> bool {
        self.progress == Progress::Waiting && self.inbound.is_ended_tunnel()
    }

    /// Output waits for the client.
    pub fn is_stuck(&self) -> bool {
        !self.out.is_empty()
    }

    /// Moves everything that can move.
    pub fn turn(&mut self, cx: &mut Context<'_>, round: &mut Round<'_>) -> Fate {
        if round.is_draining && !std::mem::replace(&mut self.told_stop, true) {
            self.stream.stop();
        }
        self.read(cx);
        let was_waiting = self.progress == Progress::Waiting;
        self.collect(cx, round.spare);
        if was_waiting && self.progress == Progress::Tunnel {
            // What came before it was open.
            self.read(cx);
            self.collect(cx, round.spare);
        }
        self.settle();
        if let Err(stuck) = self.send(cx) {
            self.stuck(stuck);
        }
        self.look_for_reset(cx);
        match self.progress {
            Progress::Breaking(_) if self.takes_all => Fate::All,
            Progress::Breaking(_) => Fate::Reset,
            Progress::Ended if self.out.is_empty() => {
                if self.inbound.drop_rest(cx) {
                    Fate::Lives
                } else {
                    Fate::Over
                }
            }
            _ => Fate::Lives,
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) {
        if self.is_over() {
            return;
        }
        let is_open = self.progress == Progress::Tunnel;
        match self.inbound.read(cx, &self.stream, is_open) {
            Read::Nothing => {}
            Read::Moved => self.moved = Instant::now(),
            Read::Gone(reason) => self.lose(reason, h2::Reason::CANCEL),
        }
    }

    /// Takes the stream's effects, until there are none and it knows whom to wake.
    fn collect(&mut self, cx: &Context<'_>, spare: &mut Outbox) {
        loop {
            let taken = self.stream.take(cx, spare);
            self.is_settled = taken.settled;
            self.inbound.pace.starved = taken.waiting.map(Instant::from_std);
            if taken.output || taken.active {
                self.moved = Instant::now();
            }
            if !taken.output {
                return;
            }
            self.alarms.set(&mut spare.timers);
            if self.out.is_empty() {
                self.write_since = self.moved;
            }
            let mut marks = std::mem::take(&mut spare.marks);
            let mut data = Bytes::new();
            if !spare.bytes.is_empty() {
                data = Bytes::copy_from_slice(&spare.bytes);
            }
            for mark in marks.drain(..) {
                self.write(mark, &mut data);
            }
            self.release_head(false);
            spare.clear();
            spare.marks = marks;
        }
    }

    fn write(&mut self, mark: Mark, data: &mut Bytes) {
        if self.is_over() {
            return;
        }
        match mark {
            Mark::Head(head) => self.held = Some(head),
            Mark::Tunnel(head) => {
                self.progress = Progress::Tunnel;
                self.start_whole(response::tunnel(&head), false);
            }
            Mark::Data(len) => {
                self.release_head(false);
                self.out.push(data.split_to(len));
            }
            Mark::Block(bytes) => {
                self.release_head(false);
                self.out.push_shared(bytes);
            }
            Mark::File(part) => {
                self.release_head(false);
                self.out.push_file(part);
            }
            Mark::Trailers(fields) => {
                self.release_head(false);
                match response::trailers(&fields) {
                    Some(fields) => self.out.trailers(fields),
                    None => self.too_many(),
                }
            }
            Mark::End => {
                let is_bare = self.held.is_some();
                self.release_head(true);
                if !is_bare && self.sending.is_some() {
                    self.out.end();
                }
                if !self.is_over() {
                    self.progress = Progress::Ended;
                }
            }
            Mark::Refuse(refusal) => self.refuse(refusal),
            Mark::Abort(reason) => {
                self.release_head(false);
                if !self.is_over() {
                    self.progress = Progress::Breaking(code(reason));
                }
                self.takes_all = self.stream.ends_connection();
                self.stream.gone(reason);
            }
        }
    }

    /// Sends the head that was held back until it was known whether a body follows.
    fn release_head(&mut self, is_last: bool) {
        let Some(head) = self.held.take() else { return };
        let response = with_date(|date| response::head(&head, date));
        self.progress = Progress::Body;
        // A response without a body ends with its head, whatever the application does next.
        self.start_whole(response, is_last || head.bodyless);
    }

    /// Starts with a head, if it could be made.
    fn start_whole(&mut self, response: Option<http::Response<()>>, is_last: bool) {
        match response {
            Some(response) => self.start(response, is_last),
            None => self.too_many(),
        }
    }

    /// The application has more fields than a block can have.
    fn too_many(&mut self) {
        self.lose(Reason::ServerError, h2::Reason::INTERNAL_ERROR);
    }

    fn start(&mut self, response: http::Response<()>, is_last: bool) {
        match self.respond.send_response(response, is_last) {
            Ok(sending) => self.sending = Some(sending).filter(|_| !is_last),
            // It was reset, and nobody looked since.
            Err(_) => self.lose(Reason::ClientClosed, h2::Reason::CANCEL),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        let is_head = self.stream.request.method_kind() == crate::wire::Method::Head;
        let (response, body) = with_date(|date| response::refusal(refusal, false, date));
        self.progress = Progress::Ended;
        self.start(response, is_head);
        if !is_head {
            self.out.push(body.into());
            self.out.end();
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Stuck> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let sent = self.out.flush(cx, sending)?;
        if sent > 0 {
            self.moved = Instant::now();
            self.write_since = self.moved;
            // What the server says itself was never counted.
            self.stream.wrote(sent.min(self.stream.buffered()));
        }
        Ok(())
    }

    fn stuck(&mut self, stuck: Stuck) {
        match stuck {
            Stuck::Gone => self.lose(Reason::ClientClosed, h2::Reason::CANCEL),
            Stuck::Unreadable(error) => {
                self.stream.broke(&error);
                self.lose(Reason::ServerError, h2::Reason::INTERNAL_ERROR);
            }
        }
    }

    fn look_for_reset(&mut self, cx: &mut Context<'_>) {
        if self.is_over() && self.out.is_empty() {
            return;
        }
        let polled = match &mut self.sending {
            Some(sending) => sending.poll_reset(cx),
            None if self.progress == Progress::Waiting => self.respond.poll_reset(cx),
            None => return,
        };
        if let Poll::Ready(Ok(_)) = polled {
            self.lose(Reason::ClientClosed, h2::Reason::CANCEL);
        }
    }

    /// A tunnel whose client has ended it ends once the application knows, with a reset where that
    /// has not answered.
    fn settle(&mut self) {
        if !self.is_settled {
            return;
        }
        match self.progress {
            Progress::Tunnel if self.inbound.is_tunnel_end() => {
                self.out.end();
                self.progress = Progress::Ended;
            }
            Progress::Waiting if self.inbound.is_ended_tunnel() => {
                self.progress = Progress::Breaking(h2::Reason::CANCEL);
            }
            _ => {}
        }
    }

    /// The stream is of no more use.
    pub fn lose(&mut self, reason: Reason, code: h2::Reason) {
        self.stream.lost(reason);
        self.inbound.close();
        self.progress = Progress::Breaking(code);
    }

    /// Resets it, if that is its fate.
    pub fn reset(&mut self) {
        let Progress::Breaking(code) = self.progress else { return };
        match &mut self.sending {
            Some(sending) => sending.send_reset(code),
            None => self.respond.send_reset(code),
        }
        self.stream.lost(Reason::ServerError);
    }
}

/// How the client is told of an end before its time.
//= RFC 9113 7
fn code(reason: Reason) -> h2::Reason {
    match reason {
        Reason::ServerError | Reason::WriteError | Reason::ReadError => h2::Reason::INTERNAL_ERROR,
        Reason::ProtocolError => h2::Reason::PROTOCOL_ERROR,
        Reason::BodyTooLarge | Reason::QueueOverflow => h2::Reason::ENHANCE_YOUR_CALM,
        _ => h2::Reason::CANCEL,
    }
}
