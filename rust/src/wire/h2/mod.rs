//! HTTP/2 heads, and the rules about its frames.

pub mod bucket;
pub mod frames;
pub mod request;
pub mod response;
pub mod streams;
pub mod watch;

/// What an HTTP/2 client sends first.
//= RFC 9113 3.4
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
