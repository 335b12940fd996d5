//! Whose fault it was, and the specification's words for it.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $token:literal,)*) => {
        /// Why a request ended abnormally.
        //= PAGI::Spec::Www "Standard Disconnect Reasons"
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of the specification.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The token that the application sees.
            pub fn token(self) -> &'static str {
                match self { $(Reason::$name => $token,)* }
            }
        }
    };
}

reasons! {
    /// The client closed or reset the connection while its request was running.
    ClientClosed = "client_closed",
    /// The client stopped responding: the request body, or all movement (`request_timeout`).
    ClientTimeout = "client_timeout",
    /// The connection was idle for too long (`timeout`).
    IdleTimeout = "idle_timeout",
    /// A kept-alive connection idled out, or a ping stayed unanswered.
    KeepaliveTimeout = "keepalive_timeout",
    /// The response could not be written in time.
    WriteTimeout = "write_timeout",
    /// Writing to the transport failed.
    WriteError = "write_error",
    /// Reading from the transport failed.
    ReadError = "read_error",
    /// The peer broke the protocol.
    ProtocolError = "protocol_error",
    /// The server is shutting down.
    ServerShutdown = "server_shutdown",
    /// The application or the server failed.
    ServerError = "server_error",
    /// The request body exceeded `max_body_size`.
    BodyTooLarge = "body_too_large",
    /// A bounded queue overflowed.
    QueueOverflow = "queue_overflow",
}

/// Why a `$send` was refused: always the application's fault, and it fails that `$send` alone.
///
/// The texts are part of the contract (programs match on them); each ends with a newline so that
/// Perl adds no file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The event's `type` is not one of the scope's.
    UnknownEvent {
        /// The type as the application gave it.
        given: String,
        /// The scope's protocol name.
        protocol: &'static str,
    },
    /// A field has the wrong shape: the validator's texts.
    Field {
        /// The event's type.
        event: &'static str,
        /// The field's name.
        field: &'static str,
        /// What the field must be, or what is wrong with it.
        problem: &'static str,
    },
    /// A header tuple cannot go on the wire.
    Header(HeaderFault),
    /// The event's status is not one that an application may send.
    Status(&'static str, i64),
    /// What is wrong with a subprotocol.
    Subprotocol(&'static str),
    /// An event after one that leaves no room for it.
    After {
        /// The type as the application gave it.
        given: String,
        /// The earlier event.
        after: &'static str,
    },
    /// A response where an event stream has started.
    Decline(&'static str),
    /// A field that would break the framing: the whole text.
    Invalid(&'static str),
    /// An event that needs an extension which the server does not advertise.
    Extension(&'static str),
    /// More than one source for one body event; how many.
    Sources(usize),
    /// A file that cannot be sent: the whole text.
    File(String),
    /// A part of the specification that this version does not implement yet.
    Unsupported(&'static str),
}

/// What is wrong with a header name or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// CR, LF or NUL in the name.
    NameBreaksLine,
    /// Another control character in the name.
    NameControl,
    /// The name is not a token.
    NameNotToken,
    /// CR, LF or NUL in the value.
    ValueBreaksLine,
    /// A code point above 0xFF in the name or the value.
    Wide,
    /// The tuple is not an array of exactly two elements.
    NotAPair,
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderFault::NameBreaksLine => "Invalid header name: contains CR, LF, or null byte",
            HeaderFault::NameControl => "Invalid header name: contains control characters",
            HeaderFault::NameNotToken => "Invalid header name: must be a token",
            HeaderFault::ValueBreaksLine => "Invalid header value: contains CR, LF, or null byte",
            HeaderFault::Wide => "Invalid header value: contains wide characters",
            HeaderFault::NotAPair => {
                "Invalid header: each of the headers must be an array reference [name, value]"
            }
        })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::UnknownEvent { given, protocol } => {
                writeln!(f, "Unrecognized event type '{given}' for {protocol} protocol")
            }
            SendError::Field { event, field, problem } => {
                writeln!(f, "{event} '{field}' {problem}")
            }
            SendError::Header(fault) => writeln!(f, "{fault}"),
            SendError::Status(event, code) => {
                writeln!(f, "{event} 'status' must be an integer between 200 and 999 (got {code})")
            }
            SendError::Subprotocol(problem) => writeln!(f, "Invalid subprotocol: {problem}"),
            SendError::After { given, after } => {
                writeln!(f, "cannot send '{given}' after {after}")
            }
            SendError::Decline(given) => {
                writeln!(f, "cannot decline with {given} after sse.start")
            }
            SendError::Invalid(text) => writeln!(f, "{text}"),
            SendError::Extension(name) => writeln!(f, "Extension not enabled: {name}"),
            SendError::Sources(count) => {
                writeln!(f, "http.response.body requires exactly one of body/file/fh (got {count})")
            }
            SendError::File(text) => writeln!(f, "{text}"),
            SendError::Unsupported(what) => {
                writeln!(f, "{what} is not supported by this version of PAGI::Server")
            }
        }
    }
}

impl std::error::Error for SendError {}

/// An error of the system as Perl's `$!` reads: Rust appends its number.
pub fn io_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_token() {
        let mut tokens: Vec<_> = Reason::ALL.iter().map(|r| r.token()).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), 12);
    }

    #[test]
    fn errors_of_the_system_read_as_in_perl() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(io_text(&error), "No such file or directory");
        assert_eq!(io_text(&std::io::Error::other("x (os error y")), "x");
    }

    #[test]
    fn refusal_texts_end_with_a_newline() {
        let e = SendError::UnknownEvent { given: "x".into(), protocol: "http" };
        assert_eq!(e.to_string(), "Unrecognized event type 'x' for http protocol\n");
        let e = SendError::Header(HeaderFault::NameBreaksLine);
        assert!(e.to_string().ends_with("null byte\n"));
    }
}
