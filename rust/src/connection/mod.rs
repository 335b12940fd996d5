//! One protocol per file: each drives streams over an `Io`.
//!
//! A connection is one task. It knows heads, bodies and ends; it never names a scope's event.

mod body;
mod drain;
mod exchange;
mod h1;
mod timer;
mod write;

use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::BytesMut;

use crate::config::Config;
use crate::stream::Links;
use crate::transport::{Io, Peer};
use crate::wire::{Date, Refusal, RequestHead};

pub use drain::{Control, Permit, Registry};

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
pub async fn serve(context: Arc<Context>, accepted: Accepted, permit: Permit) {
    h1::Connection::new(context, accepted, permit).await;
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
