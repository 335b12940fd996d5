//! The core of PAGI::Server: connections, streams and scopes on a runtime thread of its own.
//!
//! An hourglass in PAGI's own nouns. Many protocols above, many scopes below, and one waist
//! between them, so that N protocols and M scopes need N + M rooms and not N x M:
//!
//! | room | for |
//! |---|---|
//! | [`error`] | whose fault it was; the specification's disconnect reasons |
//! | [`config`] | the option table and what the core keeps of it |
//! | [`event`] | the vocabulary: every event PAGI names, as a row |
//! | [`wire`] | bytes to typed values and back; pure |
//! | [`bridge`] | news for another thread; knows nothing of PAGI |
//! | [`transport`] | byte carriers |
//! | [`scope`] | the grammars: which event when, to what effect; pure |
//! | [`stream`] | the waist: one request and its answer |
//! | [`connection`] | one protocol per file: drives streams over an `Io` |
//! | [`server`] | assembly: runtime, listeners, shutdown, access log |
//! | `ffi` | the boundary to `xs/`; the only room with unsafe code |
//!
//! Who may import whom (checked by `rust/tests/layers.rs`):
//!
//! ```text
//! error, config < event, wire, bridge, transport < scope < stream < connection < server < ffi
//! ```

pub mod bridge;
pub mod config;
pub mod connection;
pub mod error;
pub mod event;
#[allow(unsafe_code, reason = "the C boundary: the one room where unsafe code may live")]
mod ffi;
pub mod scope;
pub mod server;
pub mod stream;
pub mod transport;
pub mod wire;

/// The distribution's version in Perl's notation, as the `Server` header prints it.
pub const VERSION: &str = "0.003000";
