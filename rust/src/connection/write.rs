//! What a connection has yet to write.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::stream;
use crate::transport::{FilePart, Io};

/// Most parts that one system call takes.
const MOST_PARTS: usize = 16;

/// Largest buffer that a connection keeps from one request to the next.
pub const KEEP: usize = 4096;

/// Bytes in order: small ones gathered, large ones in the buffers they came in, files as files.
#[derive(Default)]
pub struct Queue {
    parts: VecDeque<Part>,
    front: usize,
    len: usize,
    spare: Vec<u8>,
}

enum Part {
    Small(Vec<u8>),
    Large(Arc<Vec<u8>>),
    File(stream::Part),
}

impl Part {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Part::Small(bytes) => Some(bytes),
            Part::Large(bytes) => Some(bytes),
            Part::File(_) => None,
        }
    }
}

/// Why no more can be written.
pub enum Fault {
    /// The transport takes nothing any more.
    Transport,
    /// A file cannot be read.
    File(io::Error),
}

impl Fault {
    fn of(part: &stream::Part) -> Fault {
        part.fault().map_or(Fault::Transport, Fault::File)
    }
}

impl Queue {
    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing is left to write.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gives back what many parts needed.
    pub fn shed(&mut self) {
        self.parts.shrink_to(MOST_PARTS);
    }

    /// Adds what `fill` appends.
    pub fn append(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.parts.back(), Some(Part::Small(_))) {
            let bytes = std::mem::take(&mut self.spare);
            self.parts.push_back(Part::Small(bytes));
        }
        if let Some(Part::Small(bytes)) = self.parts.back_mut() {
            let before = bytes.len();
            fill(bytes);
            self.len += bytes.len() - before;
        }
    }

    /// Adds a large buffer as it is.
    pub fn push(&mut self, bytes: Arc<Vec<u8>>) {
        self.len += bytes.len();
        self.parts.push_back(Part::Large(bytes));
    }

    /// Adds a part of a file.
    pub fn push_file(&mut self, part: stream::Part) {
        self.len += usize::try_from(part.left).unwrap_or(usize::MAX);
        self.parts.push_back(Part::File(part));
    }

    /// Writes until all is written or the transport takes no more; tells how much it took.
    pub fn poll_flush(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> (usize, Poll<Result<(), Fault>>) {
        let before = self.len;
        let outcome = self.flush(io, cx);
        (before - self.len, outcome)
    }

    fn flush(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while !self.is_empty() {
            let written = match self.parts.front_mut() {
                Some(Part::File(part)) => {
                    let most = usize::try_from(part.left).unwrap_or(usize::MAX);
                    let mut range = FilePart { file: &part.file, offset: &mut part.offset, most };
                    match ready!(io.poll_send_file(cx, &mut range)) {
                        Ok(written) if written > 0 => {
                            part.left -= written as u64;
                            written
                        }
                        // Whose fault it was one call for both does not tell.
                        _ => return Poll::Ready(Err(Fault::of(part))),
                    }
                }
                _ => {
                    let written = ready!(self.write_bytes(io, cx)).map_err(|_| Fault::Transport)?;
                    self.front += written;
                    written
                }
            };
            if written == 0 {
                return Poll::Ready(Err(Fault::Transport));
            }
            self.len -= written;
            self.drop_written();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the bytes before the next file in one system call.
    fn write_bytes(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices: [IoSlice<'_>; MOST_PARTS] = std::array::from_fn(|_| IoSlice::new(&[]));
        let mut used = 0;
        for (slot, bytes) in slices.iter_mut().zip(self.parts.iter().map_while(Part::bytes)) {
            let skip = if used == 0 { self.front } else { 0 };
            *slot = IoSlice::new(&bytes[skip..]);
            used += 1;
        }
        io.poll_write(cx, &slices[..used])
    }

    fn drop_written(&mut self) {
        while let Some(part) = self.parts.front() {
            let len = part.bytes().map_or(0, <[u8]>::len);
            if len > self.front || matches!(part, Part::File(part) if part.left > 0) {
                return;
            }
            self.front -= len;
            match self.parts.pop_front() {
                Some(Part::Small(mut bytes)) if bytes.capacity() <= KEEP => {
                    bytes.clear();
                    self.spare = bytes;
                }
                _ => {}
            }
        }
    }
}
