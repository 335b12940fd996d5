//! What a scope hash holds: its keys, and the shape of each value.

/// The shape of a scope value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A byte string.
    Bytes = 1,
    /// Characters, UTF-8 on this side.
    Text = 2,
    /// Header tuples.
    Pairs = 3,
    /// `[host, port]`; the key is missing where there is no host.
    Address = 4,
    /// The versions of the specification.
    Versions = 5,
    /// A shallow copy of the application's lifespan state.
    State = 6,
    /// A shallow copy of the advertised extensions, the one that the value names, and [`TLS`] under
    /// [`TLS_KEY`] where the connection has it.
    Extensions = 7,
    /// The object behind `pagi.connection`.
    Connection = 8,
    /// The object behind `pagi.transport`.
    Transport = 9,
    /// A list of byte strings.
    Words = 10,
    /// Characters, UTF-8 on this side; undef where there are none.
    Maybe = 11,
    /// A whole number; undef where it is not known.
    Number = 12,
    /// The client's certificates.
    Certificates = 13,
}

/// One key of a scope.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The hash key.
    pub name: &'static str,
    /// The shape of its value.
    pub kind: Kind,
}

/// The version of the specification that scopes follow.
pub const SPEC_VERSION: &str = "0.3";

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

/// The scopes that requests get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    /// `http`
    Http = 0,
    /// `websocket`
    WebSocket = 1,
    /// `sse`
    Sse = 2,
}

impl Type {
    /// Every scope, in the order of its number.
    pub const ALL: &'static [Type] = &[Type::Http, Type::WebSocket, Type::Sse];

    /// The value of the scope's `type` key, which messages call the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Type::Http => "http",
            Type::WebSocket => "websocket",
            Type::Sse => "sse",
        }
    }

    /// The value of its `scheme` key, on a connection that is secure or not.
    pub fn scheme(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Type::Http | Type::Sse, false) => "http",
            (Type::Http | Type::Sse, true) => "https",
            (Type::WebSocket, false) => "ws",
            (Type::WebSocket, true) => "wss",
        }
    }

    /// Whether that may be what the client says its scheme is, where the protocol has it say so.
    pub fn is_told_scheme(self) -> bool {
        !matches!(self, Type::WebSocket)
    }

    /// The extension that scopes of this kind have always; empty for none.
    pub fn extension(self) -> &'static str {
        match self {
            Type::Http | Type::Sse => "",
            Type::WebSocket => "websocket.http.response",
        }
    }

    /// The keys of the scope.
    pub fn keys(self) -> &'static [Key] {
        match self {
            Type::Http => HTTP,
            Type::WebSocket => WEBSOCKET,
            Type::Sse => SSE,
        }
    }
}

/// The keys of an `http` scope.
//= PAGI::Spec::Www "HTTP Connection Scope"
const HTTP: &[Key] = &[
    key("type", Kind::Bytes),
    key("pagi", Kind::Versions),
    key("http_version", Kind::Bytes),
    key("method", Kind::Bytes),
    key("scheme", Kind::Bytes),
    key("path", Kind::Text),
    key("raw_path", Kind::Bytes),
    key("query_string", Kind::Bytes),
    key("root_path", Kind::Bytes),
    key("headers", Kind::Pairs),
    key("client", Kind::Address),
    key("server", Kind::Address),
    key("state", Kind::State),
    key("extensions", Kind::Extensions),
    key("pagi.transport", Kind::Transport),
    // The last one: see SSE.
    key("pagi.connection", Kind::Connection),
];

/// The extension of connections over TLS.
pub const TLS_KEY: &str = "tls";

/// The keys of the extension `tls`: all of them on each connection over TLS.
//= PAGI::Spec::Tls "Scope"
pub static TLS: &[Key] = &[
    key("server_cert", Kind::Maybe),
    key("client_cert_chain", Kind::Certificates),
    key("client_cert_name", Kind::Maybe),
    key("client_cert_error", Kind::Maybe),
    key("tls_version", Kind::Number),
    key("cipher_suite", Kind::Number),
];

/// The keys of a `websocket` scope.
//= PAGI::Spec::Www "WebSocket Connection Scope"
static WEBSOCKET: &[Key] = &[
    key("type", Kind::Bytes),
    key("pagi", Kind::Versions),
    key("http_version", Kind::Bytes),
    key("scheme", Kind::Bytes),
    key("path", Kind::Text),
    key("raw_path", Kind::Bytes),
    key("query_string", Kind::Bytes),
    key("root_path", Kind::Bytes),
    key("headers", Kind::Pairs),
    key("client", Kind::Address),
    key("server", Kind::Address),
    key("subprotocols", Kind::Words),
    key("state", Kind::State),
    key("extensions", Kind::Extensions),
    key("pagi.transport", Kind::Transport),
];

/// The keys of an `sse` scope: those of an `http` scope, without `pagi.connection`.
//= PAGI::Spec::Www "SSE Connection Scope"
static SSE: &[Key] = HTTP.split_at(HTTP.len() - 1).0;
