//! What the fuzz targets share: ways to split an input, plain models of what the core must do, and
//! both ends of a connection.
//!
//! The models are written anew and slowly, from the RFCs and the contract, so that they do not
//! share a mistake with the core. A property that does not hold is a panic, which libFuzzer reports
//! with its input.

pub mod app;
pub mod chunks;
pub mod client;
pub mod frames;
pub mod head;
pub mod http2;
pub mod record;
pub mod response;
pub mod run;
pub mod split;
