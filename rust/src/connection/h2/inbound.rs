//! A request body, or a tunnel's input: credit goes back to the client as it is taken.
//= RFC 9113 5.2

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use tokio::time::Instant;

use crate::connection::body::{DRAIN_BOUND, Meter, Pace};
use crate::error::Reason;
use crate::stream::{Pieces, Stream};
use crate::wire::Refusal;

/// What comes in on one stream.
pub struct Inbound {
    body: Option<RecvStream>,
    /// A tunnel's: nothing is handed on before that is open.
    is_tunnel: bool,
    /// What the tunnel had no room for, or came before it was open: no more than the client's
    /// window, as no credit is given for it.
    rest: Pieces,
    meter: Meter,
    /// How long the application has been waiting.
    pub pace: Pace,
    /// When something came last.
    pub last: Instant,
    dropped: u64,
}

/// What reading led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Nothing came.
    Nothing,
    /// Something did.
    Moved,
    /// The stream was reset, or broke the protocol's rules.
    Gone(Reason),
}

impl Inbound {
    /// For a body of at most `limit` bytes, or a tunnel.
    pub fn new(body: RecvStream, is_tunnel: bool, limit: Option<u64>) -> Inbound {
        Inbound {
            // A tunnel that ends at once has to be told so.
            body: Some(body).filter(|body| is_tunnel || !body.is_end_stream()),
            is_tunnel,
            rest: Pieces::default(),
            meter: Meter::new(limit),
            pace: Pace::default(),
            last: Instant::now(),
            dropped: 0,
        }
    }

    /// More may come.
    pub fn is_open(&self) -> bool {
        self.body.is_some()
    }

    /// What came is no body.
    pub fn is_tunnel(&self) -> bool {
        self.is_tunnel
    }

    /// A tunnel whose other side has ended, all of it taken.
    pub fn is_tunnel_end(&self) -> bool {
        self.is_ended_tunnel() && self.rest.is_empty()
    }

    /// A tunnel whose other side has ended, whatever it was that came before.
    pub fn is_ended_tunnel(&self) -> bool {
        self.is_tunnel && self.body.is_none()
    }

    /// Nothing more is read.
    pub fn close(&mut self) {
        self.body = None;
        self.rest = Pieces::default();
    }

    /// A body of which more may come, and nobody was known to wait for it.
    pub fn may_starve(&self) -> bool {
        self.is_open() && !self.is_tunnel && self.pace.starved.is_none()
    }

    /// When the application has been kept waiting for too long.
    pub fn deadline(&self, timeout: std::time::Duration) -> Option<Instant> {
        let is_due = self.is_open() && !self.is_tunnel;
        is_due.then(|| self.pace.deadline(&self.meter, timeout, self.last)).flatten()
    }

    /// Moves what came to the stream.
    pub fn read(&mut self, cx: &mut Context<'_>, stream: &Arc<Stream>, is_open: bool) -> Read {
        let mut read = Read::Nothing;
        let mut has_room = is_open;
        loop {
            // What a tunnel has before it is open, or has room, is kept here: the engine would keep
            // each frame by itself. It is no more than the window, and the end behind it is seen.
            has_room = has_room && self.pour(stream);
            let Some(body) = &mut self.body else { return read };
            match body.poll_data(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.body = None;
                    self.ended(stream, is_open);
                }
                Poll::Ready(Some(Ok(piece))) => {
                    self.last = Instant::now();
                    self.take(piece, stream);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.close();
                    let by_peer = error.is_remote() || error.is_io();
                    let reason = if by_peer { Reason::ClientClosed } else { Reason::ProtocolError };
                    return Read::Gone(reason);
                }
            }
            read = Read::Moved;
        }
        self.credit(stream.take_credit());
        read
    }

    /// Reads what nobody wants, so that a client that has begun may end; false once that is not
    /// worth it, or over.
    pub fn drop_rest(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some(body) = &mut self.body {
            match body.poll_data(cx) {
                Poll::Pending => return true,
                Poll::Ready(Some(Ok(piece))) if self.dropped < DRAIN_BOUND => {
                    self.dropped += piece.len() as u64;
                    self.credit(piece.len());
                }
                Poll::Ready(_) => self.body = None,
            }
        }
        false
    }

    fn take(&mut self, piece: Bytes, stream: &Arc<Stream>) {
        if self.is_tunnel {
            // Of empty ones there could be any number.
            if !piece.is_empty() {
                self.rest.push(piece);
            }
            return;
        }
        let is_last = self.body.as_ref().is_some_and(RecvStream::is_end_stream);
        if self.meter.count(piece.len()).is_err() {
            self.close();
            return stream.refuse(Refusal::PayloadTooLarge);
        }
        if is_last {
            self.body = None;
        }
        if !piece.is_empty() || is_last {
            let waited = stream.feed(piece, is_last);
            self.pace.came(waited);
        }
    }

    /// Hands on what is left; false if there was no room for all of it.
    fn pour(&mut self, stream: &Arc<Stream>) -> bool {
        while let Some(piece) = self.rest.first() {
            let taken = stream.input(piece);
            piece.advance(taken);
            let is_through = piece.is_empty();
            self.credit(taken);
            if !is_through {
                return false;
            }
            self.rest.pop();
            if self.is_tunnel_end() {
                self.ended(stream, true);
            }
        }
        true
    }

    /// An application that has not accepted is to get what came, once it does; if it waits to hear
    /// of something instead, this is the time. In an open tunnel, all is handed on before.
    fn ended(&self, stream: &Arc<Stream>, is_open: bool) {
        match (self.is_tunnel, self.rest.is_empty()) {
            (false, _) => stream.end(),
            (true, false) if is_open || stream.waiting().is_none() => {}
            (true, _) => stream.gone(Reason::ClientClosed),
        }
    }

    fn credit(&mut self, bytes: usize) {
        if let (Some(body), true) = (&mut self.body, bytes > 0) {
            // Fails only where the stream is over.
            let _ = body.flow_control().release_capacity(bytes);
        }
    }
}
