//! A response body on its way: as much as the client's windows take.
//= RFC 9113 5.2, 6.9

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;

use crate::stream::{Part, shrunk};

/// Most bytes that are handed to the engine at once, and that a file is read in.
pub const PIECE: usize = 64 * 1024;

enum Piece {
    Bytes(Bytes),
    File(Part),
}

/// A piece that others have as well.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// How a body ends.
enum End {
    Plain,
    Trailers(HeaderMap),
}

/// Pieces in order.
#[derive(Default)]
pub struct Outgoing {
    pieces: VecDeque<Piece>,
    end: Option<End>,
    has_ended: bool,
}

/// Why no more can be sent.
#[derive(Debug)]
pub enum Stuck {
    /// The client, or the connection, ended the stream.
    Gone,
    /// A file could not be read any more.
    Unreadable(io::Error),
}

impl Outgoing {
    /// Adds a piece.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pieces.push_back(Piece::Bytes(bytes));
        }
    }

    /// Adds a piece that others may have as well.
    pub fn push_shared(&mut self, bytes: Arc<Vec<u8>>) {
        self.push(match Arc::try_unwrap(bytes) {
            Ok(own) => own.into(),
            Err(shared) => Bytes::from_owner(Shared(shared)),
        });
    }

    /// Adds a part of a file.
    pub fn push_file(&mut self, part: Part) {
        if part.left > 0 {
            self.pieces.push_back(Piece::File(part));
        }
    }

    /// Nothing follows what is there.
    pub fn end(&mut self) {
        self.end.get_or_insert(End::Plain);
    }

    /// Trailer fields follow, and nothing else.
    pub fn trailers(&mut self, fields: HeaderMap) {
        self.end = Some(End::Trailers(fields));
    }

    /// An end is set: nothing more may be added.
    pub fn is_closed(&self) -> bool {
        self.end.is_some()
    }

    /// Everything was handed over, as far as it is known.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && (self.end.is_none() || self.has_ended)
    }

    /// Hands over what it may; tells how many bytes that is.
    pub fn flush(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut SendStream<Bytes>,
    ) -> Result<usize, Stuck> {
        let mut sent = 0;
        while let Some(left) = self.front() {
            let Some(room) = room(cx, to, left)? else { return Ok(sent) };
            let bytes = self.take(room)?;
            sent += bytes.len();
            let is_last = self.pieces.is_empty() && matches!(self.end, Some(End::Plain));
            to.send_data(bytes, is_last).map_err(|_| Stuck::Gone)?;
            self.has_ended = is_last;
        }
        if !self.has_ended {
            self.finish(to)?;
        }
        Ok(sent)
    }

    fn finish(&mut self, to: &mut SendStream<Bytes>) -> Result<(), Stuck> {
        let finished = match &mut self.end {
            None => return Ok(()),
            Some(End::Plain) => to.send_data(Bytes::new(), true),
            Some(End::Trailers(fields)) => to.send_trailers(std::mem::take(fields)),
        };
        self.has_ended = true;
        finished.map_err(|_| Stuck::Gone)
    }

    /// The bytes of the first piece, at most so many as are handed over at once.
    fn front(&self) -> Option<usize> {
        Some(match self.pieces.front()? {
            Piece::Bytes(bytes) => bytes.len().min(PIECE),
            Piece::File(part) => usize::try_from(part.left).unwrap_or(PIECE).min(PIECE),
        })
    }

    /// Up to `room` bytes of the first piece.
    fn take(&mut self, room: usize) -> Result<Bytes, Stuck> {
        let (bytes, is_through) = match self.pieces.front_mut() {
            None => (Bytes::new(), false),
            Some(Piece::Bytes(bytes)) => {
                let taken = bytes.split_to(room.min(bytes.len()));
                (taken, bytes.is_empty())
            }
            Some(Piece::File(part)) => {
                let mut bytes = vec![0; usize::try_from(part.left).unwrap_or(room).min(room)];
                // From the page cache as a rule, as sendfile for HTTP/1 does: on this thread.
                let read = part.file.read_at(&mut bytes, part.offset);
                let n = match read {
                    Ok(0) => return Err(Stuck::Unreadable(shrunk())),
                    read => read.map_err(Stuck::Unreadable)?,
                };
                bytes.truncate(n);
                part.offset += n as u64;
                part.left -= n as u64;
                (bytes.into(), part.left == 0)
            }
        };
        if is_through {
            self.pieces.pop_front();
        }
        Ok(bytes)
    }
}

/// How many of `wanted` bytes may be sent now; none while there is nothing to do but wait.
pub fn room(
    cx: &mut Context<'_>,
    to: &mut SendStream<Bytes>,
    wanted: usize,
) -> Result<Option<usize>, Stuck> {
    to.reserve_capacity(wanted);
    loop {
        match to.capacity() {
            0 => {}
            n => return Ok(Some(n.min(wanted))),
        }
        match to.poll_capacity(cx) {
            Poll::Pending => return Ok(None),
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(_) => return Err(Stuck::Gone),
        }
    }
}
