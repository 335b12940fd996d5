//! One protocol per file: each drives streams over an `Io`.
//!
//! A connection is one task. It knows heads, bodies and ends; it never names a scope's event.

mod body;
mod choose;
mod drain;
mod exchange;
mod h1;
mod h2;
mod timer;
mod write;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::BytesMut;

use choose::{Choice, Spoken};

use crate::config::Config;
use crate::stream::{Links, Marks};
use crate::transport::{Io, Peer};
use crate::wire::{Date, Refusal, RequestHead};

pub use drain::{Control, Permit, Registry};
pub use h2::session;

/// Told of requests that never became a stream.
pub trait Observer: Send + Sync {
    /// The server refused a request; the head is there if it could be parsed.
    fn refused(&self, peer: &Peer, head: Option<&RequestHead>, refusal: Refusal);
}

/// What all connections of a server share.
pub struct Context {
    /// The limits for new connections.
    pub config: Mutex<Arc<Config>>,
    /// The links of their streams.
    pub links: Arc<Links>,
    /// Who is connected.
    pub registry: Registry,
    /// Whether the `fullflush` extension is advertised.
    pub may_fullflush: AtomicBool,
    /// Hears of refusals.
    pub observer: Box<dyn Observer>,
}

impl Context {
    /// Whether the `fullflush` extension is advertised now.
    pub fn may_fullflush(&self) -> bool {
        self.may_fullflush.load(Ordering::Relaxed)
    }

    /// The limits in force now.
    pub fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An accepted transport, ready to be served.
pub struct Accepted {
    /// The transport.
    pub io: Io,
    /// Both its ends.
    pub peer: Peer,
    /// What somebody has read of it already.
    pub early: BytesMut,
}

/// Serves one accepted transport to its end.
pub async fn serve(context: Arc<Context>, mut accepted: Accepted, permit: Permit) {
    let config = context.config();
    let spoken = match &accepted.io {
        _ if config.h2.only => Spoken::Http2,
        Io::Tls(tls) if tls.alpn() == Some(b"h2") => Spoken::Http2,
        Io::Tcp(_) | Io::Unix(_) if config.http2 => {
            Choice::new(&mut accepted, &permit, config).await
        }
        _ => Spoken::Http1,
    };
    match spoken {
        Spoken::Http1 => h1::Connection::new(context, accepted, permit).await,
        // Large, and most connections have no use for it.
        Spoken::Http2 => Box::pin(h2::Connection::new(context, accepted, permit)).await,
        Spoken::Nothing => {}
    }
}

/// The watermarks for new streams.
fn marks(config: &Config) -> Marks {
    Marks {
        high: config.write_high_watermark,
        low: config.write_low_watermark,
        inline_file: config.sync_file_threshold,
    }
}

/// Size of the buffer that the core thread reads into. Idle connections own no read buffer.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    static SCRATCH_BUF: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
    static DATE: RefCell<Date> = RefCell::default();
}

fn with_scratch<T>(run: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH_BUF.with_borrow_mut(|buf| run(buf))
}

fn with_date<T>(run: impl FnOnce(&[u8]) -> T) -> T {
    DATE.with_borrow_mut(|date| run(date.at(SystemTime::now())))
}
