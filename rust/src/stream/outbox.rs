//! The response on its way to the connection: effects in order, small pieces in one buffer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Reason, SendError, io_text};
use crate::scope::{Range, Source, Timer};
use crate::wire::fields::Fields;
use crate::wire::{Refusal, ResponseHead};

/// Pieces at or above this size keep a buffer of their own, which the transport writes from.
const LARGE: usize = 16 * 1024;

/// One effect, in the order in which the scope asked for it.
pub enum Mark {
    /// The response starts.
    Head(Box<ResponseHead>),
    /// The request succeeds, and from here on both directions carry raw data.
    Tunnel(Box<ResponseHead>),
    /// The next `n` bytes of [`Outbox::bytes`] are a piece of the body.
    Data(usize),
    /// A large piece of the body.
    Block(Arc<Vec<u8>>),
    /// A part of a file.
    File(Part),
    /// The body ends with trailer fields.
    Trailers(Fields),
    /// The response ends.
    End,
    /// The server answers itself.
    Refuse(Refusal),
    /// The response breaks off.
    Abort(Reason),
}

/// A part of a file, to be sent from the file itself.
#[derive(Debug)]
pub struct Part {
    /// The file.
    pub file: File,
    /// Offset of the next byte to send.
    pub offset: u64,
    /// Bytes to send.
    pub left: u64,
}

impl Part {
    /// Why its next byte cannot be read; none where it can be.
    pub fn fault(&self) -> Option<io::Error> {
        match self.file.read_at(&mut [0], self.offset) {
            Ok(0) => Some(shrunk()),
            Ok(_) => None,
            Err(error) => Some(error),
        }
    }
}

/// The error of a file that ends before what is to be sent of it.
pub fn shrunk() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter")
}

/// The contract's words for a file that cannot be read.
pub fn unreadable(error: &io::Error) -> String {
    format!("Failed to read file: {}", io_text(error))
}

/// Effects waiting for their connection.
#[derive(Default)]
pub struct Outbox {
    /// The effects.
    pub marks: Vec<Mark>,
    /// The bytes of all [`Mark::Data`], in order.
    pub bytes: Vec<u8>,
    /// Largest file that is read into [`Outbox::bytes`] at once.
    pub inline_file: u64,
    /// Timers to be set, or stopped where no time is given; one entry for each at the most.
    pub timers: Vec<(Timer, Option<Duration>)>,
    payload: usize,
    flushable: bool,
}

impl Outbox {
    /// Something may leave: a head alone is held back.
    pub fn is_flushable(&self) -> bool {
        self.flushable && !(self.marks.is_empty() && self.timers.is_empty())
    }

    /// Body bytes in here.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// Gives back buffers above `keep` bytes, and whole: what is cut off one in place is too small
    /// for the next of its kind.
    pub fn shed(&mut self, keep: usize) {
        if self.bytes.capacity() > keep {
            self.bytes = Vec::new();
        }
        if self.marks.capacity() > keep / size_of::<Mark>() {
            self.marks = Vec::new();
        }
    }

    /// Empties it, keeping its small buffers.
    pub fn clear(&mut self) {
        self.marks.clear();
        self.timers.clear();
        self.bytes.clear();
        self.bytes.shrink_to(LARGE);
        self.payload = 0;
        self.flushable = false;
    }
}

/// Opens a file to be sent, in the contract's words where that fails.
fn open(path: &[u8]) -> Result<File, SendError> {
    use std::os::unix::ffi::OsStrExt;
    let fault = |what: &str, error: &str| {
        let path = String::from_utf8_lossy(path);
        SendError::File(format!("Cannot {what} file {path}: {error}"))
    };
    let name = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    let text = |error: io::Error| io_text(&error);
    let meta = std::fs::metadata(name).map_err(|e| fault("stat", &text(e)))?;
    if !meta.is_file() {
        return Err(fault("open", "not a regular file"));
    }
    File::open(name).map_err(|e| fault("open", &text(e)))
}

/// Reads a small part at once.
fn read_part(part: &Part) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; part.left as usize];
    part.file.read_exact_at(&mut bytes, part.offset)?;
    Ok(bytes)
}

/// See [`crate::scope::Effects`].
impl Outbox {
    /// Starts the response.
    pub fn head(&mut self, head: ResponseHead) {
        self.marks.push(Mark::Head(Box::new(head)));
    }

    /// Adds a piece.
    pub fn data(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.payload += bytes.len();
        if bytes.len() >= LARGE {
            self.marks.push(Mark::Block(Arc::new(bytes.to_vec())));
        } else {
            self.bytes.extend_from_slice(bytes);
            self.marks.push(Mark::Data(bytes.len()));
        }
    }

    /// Adds a piece that other streams have as well.
    pub fn block(&mut self, bytes: Arc<Vec<u8>>) {
        self.payload += bytes.len();
        self.marks.push(Mark::Block(bytes));
    }

    /// Adds a part of a file.
    pub fn file(&mut self, source: Source<'_>, range: Range) -> Result<u64, SendError> {
        let fault = |error: io::Error| SendError::File(unreadable(&error));
        let file = match source {
            Source::Path(path) => open(path)?,
            Source::File(file) => File::from(file.try_clone_to_owned().map_err(fault)?),
        };
        let size = file.metadata().map_err(fault)?.len();
        let left = size.saturating_sub(range.offset).min(range.most);
        let part = Part { file, offset: range.offset, left };
        if left <= self.inline_file {
            let bytes = read_part(&part).map_err(fault)?;
            self.data(&bytes);
        } else if let Some(error) = part.fault() {
            return Err(fault(error));
        } else {
            self.payload += usize::try_from(left).unwrap_or(usize::MAX);
            self.marks.push(Mark::File(part));
        }
        Ok(left)
    }

    /// Lets go of what was held back.
    pub fn flush(&mut self) {
        self.flushable = true;
    }

    /// Ends the body with trailer fields.
    pub fn trailers(&mut self, fields: Fields) {
        self.marks.push(Mark::Trailers(fields));
    }

    /// Ends the response.
    pub fn end(&mut self) {
        self.marks.push(Mark::End);
        self.flushable = true;
    }

    /// Answers in the application's stead.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.marks.push(Mark::Refuse(refusal));
        self.flushable = true;
    }

    /// Breaks the response off.
    pub fn abort(&mut self, reason: Reason) {
        self.marks.push(Mark::Abort(reason));
        self.flushable = true;
    }

    /// Answers with a success that turns the stream into a tunnel.
    pub fn tunnel(&mut self, head: ResponseHead) {
        self.marks.push(Mark::Tunnel(Box::new(head)));
        self.flushable = true;
    }

    /// Sets a timer, or stops it.
    pub fn arm(&mut self, timer: Timer, after: Option<Duration>) {
        match self.timers.iter_mut().find(|(known, _)| *known == timer) {
            Some(entry) => entry.1 = after,
            None => self.timers.push((timer, after)),
        }
        self.flushable = true;
    }
}
