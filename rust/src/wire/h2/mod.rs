//! HTTP/2 heads, and the rules about its frames.

pub mod bucket;
pub mod frames;
pub mod request;
pub mod response;
pub mod streams;
pub mod watch;
