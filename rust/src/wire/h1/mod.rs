//! HTTP/1.0 and HTTP/1.1 on the wire.
//= RFC 9112

pub mod chunked;
pub mod persist;
pub mod phrase;
pub mod request;
pub mod response;
pub mod target;
pub mod upgrade;
pub mod whole;
