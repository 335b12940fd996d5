//! News for the Perl thread. The data stay in the stream: an arrival says only where to look.

use std::sync::Arc;

use super::Stream;
use crate::scope::Note;

/// One piece of news.
pub enum Arrival {
    /// A request came.
    Opened(Arc<Stream>),
    /// A stream has news bits set; see [`News`].
    News(Arc<Stream>),
    /// Something about the server itself.
    Server(Notice),
}

/// The news bits of a stream.
pub struct News;

impl News {
    /// A waiting `$receive` can go on.
    pub const READABLE: u8 = 1;
    /// The output fell below the low mark.
    pub const DRAINED: u8 = 2;
    /// The connection ended.
    pub const GONE: u8 = 4;
    /// The server answered in the application's stead.
    pub const ANSWERED: u8 = 8;
}

/// News about the server itself.
#[derive(Debug)]
pub enum Notice {
    /// A line for the access log, without its newline.
    Access(String),
    /// A line for the server's own log.
    Log(Level, String),
    /// A warning that no log level filters.
    Warning(String),
    /// The shutdown is through: no connection is left.
    Stopped,
}

impl From<Note> for Notice {
    fn from(note: Note) -> Notice {
        match note {
            Note::Log(line) => Notice::Log(Level::Warn, line),
            Note::Warning(text) => Notice::Warning(text),
        }
    }
}

/// Levels of the server's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// debug
    Debug = 0,
    /// info
    Info = 1,
    /// warn
    Warn = 2,
    /// error
    Error = 3,
}

impl Level {
    /// The level's name in the `log_level` option.
    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}
