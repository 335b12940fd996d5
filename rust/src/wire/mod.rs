//! Bytes to typed values and back. Pure: no socket, no clock, no thread.

pub mod date;
pub mod fields;
pub mod h1;
pub mod h2;
pub mod head;
pub mod refusal;
pub mod sse;
pub mod websocket;

pub use date::Date;
pub use fields::{Fields, Span};
pub use head::{Body, Method, Path, RequestHead, ResponseHead, Version};
pub use refusal::Refusal;
