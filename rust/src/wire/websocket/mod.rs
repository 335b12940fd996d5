//! The WebSocket protocol: frames, messages, compression.
//= RFC 6455, RFC 7692

pub mod close;
pub mod deflate;
pub mod frames;
pub mod messages;

/// How a peer broke the protocol: what its Close frame tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The close code.
    pub code: u16,
    /// The close reason.
    pub text: &'static str,
}

/// A violation of the framing.
const fn protocol(text: &'static str) -> Violation {
    Violation { code: 1002, text }
}

/// A frame or a message above its limit.
pub const TOO_BIG: Violation = Violation { code: 1009, text: "Message too big" };

/// The peer goes on although the application's inbox is full.
pub const OVERFLOW: Violation = Violation { code: 1008, text: "Message queue overflow" };
