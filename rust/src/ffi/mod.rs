//! The C boundary: handles and plain values, no decisions about PAGI.
//!
//! Promises that every block here relies on, kept by `xs/`:
//!
//! * **Handles**: a server, stream or session pointer came from this room, has not been freed, and is used
//!   by one thread, its interpreter's.
//! * **Texts**: a pointer with a length names that many readable bytes for the time of the call;
//!   a null pointer goes with length 0.
//! * **Descriptors**: a descriptor that is handed over is open and nobody else closes it; any other
//!   one is open for the time of the call.
//! * **Outputs**: an output pointer is valid for one write of its type.
//!
//! The declarations that C sees are in `xs/pagi_core.h`; `t/dist/header.t` holds the two
//! together. Panics never leave: each export returns its fallback instead.

mod boot;
mod codec;
mod log;
mod schema;
mod server;
mod session;
mod stream;
mod value;

/// Wraps an export so that a panic becomes its fallback value.
macro_rules! export {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $ret:ty, $fallback:expr,
     $body:block) => {
        $(#[$doc])*
        // SAFETY: the name is prefixed with the distribution's and defined once.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($arg: $type),*) -> $ret {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| $body)).unwrap_or($fallback)
        }
    };
}
use export;
