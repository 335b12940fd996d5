//! The option table: one row an option, for the constructor, `configure`, the command line and
//! the manual; and what the core keeps of it.

mod http2;

pub use http2::Http2;

/// What a value of an option must look like. Validation in `PAGI::Server::Options` follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A code reference.
    Code,
    /// Any string.
    Str,
    /// A file name.
    Path,
    /// A file mode.
    Mode,
    /// An array reference.
    List,
    /// A hash reference.
    Hash,
    /// A filehandle, or undef.
    Handle,
    /// True or false.
    Bool,
    /// A number of things.
    Count,
    /// A number of bytes.
    Bytes,
    /// A number of seconds; fractions allowed.
    Seconds,
    /// One of a few words, separated by blanks.
    Choice(&'static str),
}

/// Who obeys an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The core: the value crosses as a number.
    Core,
    /// The Perl classes.
    Perl,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The constructor key.
    pub name: &'static str,
    /// The shape of its value.
    pub kind: Kind,
    /// The default as text; empty where there is none or where Perl computes it. That of a hash is
    /// its keys and values, separated by blanks.
    pub default: &'static str,
    /// The least value, for numbers.
    pub min: f64,
    /// The greatest value, for numbers.
    pub max: f64,
    /// Who obeys it.
    pub side: Side,
    /// Command line flags, separated by `|`; empty for none.
    pub flags: &'static str,
    /// One sentence for the manual and `--help`.
    pub doc: &'static str,
}

const ANY: f64 = 9_007_199_254_740_991.0; // 2**53 - 1: what a Perl number holds exactly

macro_rules! options {
    ($($name:ident: $kind:expr, $default:literal, $min:expr, $max:expr, $side:expr, $flags:literal,
       $doc:literal;)*) => {
        /// Every constructor option, in the order of the manual.
        pub static OPTIONS: &[Row] = &[$(Row {
            name: stringify!($name), kind: $kind, default: $default, min: $min, max: $max,
            side: $side, flags: $flags, doc: $doc,
        },)*];
    };
}

use Kind::{Bool, Bytes, Choice, Code, Count, Handle, Hash, List, Mode, Path, Seconds, Str};
use Side::{Core, Perl};

options! {
    app: Code, "", 0.0, 0.0, Perl, "",
        "The application: a code reference called with $scope, $receive and $send that returns a Future.";
    host: Str, "127.0.0.1", 0.0, 0.0, Perl, "",
        "Address or name to listen on.";
    port: Count, "5000", 0.0, 65535.0, Perl, "",
        "TCP port to listen on; 0 lets the system pick one.";
    socket: Path, "", 0.0, 0.0, Perl, "socket",
        "Path of a Unix socket to listen on instead of TCP.";
    socket_mode: Mode, "", 0.0, 4095.0, Perl, "socket-mode",
        "File mode of the Unix socket.";
    listen: List, "", 0.0, 0.0, Perl, "listen",
        "A list of listeners, each a hash of host and port or of socket.";
    ssl: Hash, "", 0.0, 0.0, Perl, "",
        "Certificate and key for HTTPS, and what goes with them.";
    disable_tls: Bool, "0", 0.0, 1.0, Perl, "",
        "Ignore the ssl option and serve in the clear.";
    extensions: Hash, "", 0.0, 0.0, Perl, "",
        "Extensions to advertise in every scope.";
    access_log: Handle, "", 0.0, 0.0, Perl, "",
        "Filehandle for the access log, default STDERR; undef turns it off.";
    access_log_format: Str, "clf", 0.0, 0.0, Perl, "access-log-format",
        "Access log preset or format string.";
    log_level: Choice("debug info warn error"), "info", 0.0, 0.0, Perl, "log-level",
        "Least level of the server's own log lines that is shown.";
    quiet: Bool, "0", 0.0, 1.0, Perl, "",
        "Show only log lines of level error.";
    logger: Code, "", 0.0, 0.0, Perl, "",
        "Function called with level and text of each line that the server has to say, instead of warn.";
    workers: Count, "0", 0.0, 65535.0, Perl, "w|workers",
        "Number of worker processes; 0 serves in this process.";
    listener_backlog: Count, "2048", 1.0, 2147483647.0, Perl, "b|listener-backlog",
        "Length of the queue of connections not yet accepted.";
    reuseport: Bool, "0", 0.0, 1.0, Perl, "reuseport",
        "Give each worker its own socket with SO_REUSEPORT.";
    max_connections: Count, "0", 0.0, ANY, Core, "max-connections",
        "Connections served at once; more are answered 503. 0 means 1000.";
    max_requests: Count, "0", 0.0, ANY, Perl, "max-requests",
        "Requests after which a worker is replaced; 0 means never.";
    max_requests_jitter: Count, "", 0.0, ANY, Perl, "max-requests-jitter",
        "Most requests by which a worker's share is less than max_requests, by chance; a tenth of it by default.";
    max_worker_memory: Bytes, "0", 0.0, ANY, Perl, "max-worker-memory",
        "Resident bytes above which a worker is replaced; 0 means never.";
    max_body_size: Bytes, "10000000", 0.0, ANY, Core, "max-body-size",
        "Largest request body in bytes; a larger one is answered 413. 0 means no limit.";
    max_header_size: Bytes, "8192", 1.0, 16777216.0, Core, "max-header-size",
        "Largest request head in bytes; a larger one is answered 431.";
    max_header_count: Count, "100", 1.0, 65535.0, Core, "max-header-count",
        "Most header fields of a request; more are answered 431.";
    max_receive_queue: Count, "1000", 1.0, ANY, Core, "max-receive-queue",
        "WebSocket messages waiting for the application at which reading stops; one more closes with 1008.";
    max_ws_frame_size: Bytes, "65536", 1.0, ANY, Core, "max-ws-frame-size",
        "Largest payload of an inbound WebSocket frame; a message may have 128 times as much.";
    write_high_watermark: Bytes, "65536", 1.0, ANY, Core, "write-high-watermark",
        "Unsent bytes of a response at which $send waits.";
    write_low_watermark: Bytes, "16384", 1.0, ANY, Core, "write-low-watermark",
        "Unsent bytes of a response below which a waiting $send goes on.";
    sync_file_threshold: Bytes, "65536", 0.0, 1073741824.0, Core, "sync-file-threshold",
        "Largest file body that is read at once; larger ones are sent from the file.";
    timeout: Seconds, "60", 0.0, 31536000.0, Core, "timeout",
        "Seconds that a client may be idle, or keep its own request or response waiting; 0 means never.";
    request_timeout: Seconds, "0", 0.0, 31536000.0, Core, "request-timeout",
        "Seconds without progress after which a running request is given up; 0 means never.";
    ws_idle_timeout: Seconds, "0", 0.0, 31536000.0, Core, "ws-idle-timeout",
        "Seconds without traffic after which a WebSocket is closed; 0 means never.";
    ws_compression: Count, "12", 0.0, 15.0, Core, "ws-compression",
        "Window bits (9 to 15) of permessage-deflate for WebSockets whose client offers it; 0 turns it off.";
    sse_idle_timeout: Seconds, "0", 0.0, 31536000.0, Core, "sse-idle-timeout",
        "Seconds without an event after which an SSE connection is closed; 0 means never.";
    sse_idle_timeout_scope: Choice("connection stream"), "connection", 0.0, 0.0, Perl, "sse-idle-timeout-scope",
        "What sse_idle_timeout closes: the connection, or over HTTP/2 only the idle stream.";
    heartbeat_timeout: Seconds, "50", 0.0, 31536000.0, Perl, "heartbeat-timeout",
        "Seconds without a sign of life after which a worker is killed; 0 means never.";
    shutdown_timeout: Seconds, "30", 0.0, 31536000.0, Core, "shutdown-timeout",
        "Seconds that a shutdown waits for running requests, and for the application's lifespan.";
    lifespan_mode: Choice("auto on off"), "auto", 0.0, 0.0, Perl, "lifespan",
        "Whether the application must, may or is not asked to handle the lifespan protocol.";
    lifespan_startup_timeout: Seconds, "30", 0.0, 31536000.0, Perl, "lifespan-startup-timeout",
        "Seconds that the application has to signal its startup; 0 means for ever.";
    validate_events: Bool, "", 0.0, 1.0, Perl, "",
        "Check the shape of every event sent; on by default where PAGI_ENV is development.";
    loop_type: Str, "", 0.0, 0.0, Perl, "",
        "IO::Async::Loop subclass for run, such as Epoll or EV.";
    http2: Bool, "0", 0.0, 1.0, Core, "http2",
        "Speak HTTP/2 as well.";
    h2_max_concurrent_streams: Count, "100", 1.0, 2147483647.0, Core, "",
        "SETTINGS_MAX_CONCURRENT_STREAMS.";
    h2_initial_window_size: Bytes, "65535", 1.0, 2147483647.0, Core, "",
        "SETTINGS_INITIAL_WINDOW_SIZE.";
    h2_max_frame_size: Bytes, "16384", 16384.0, 16777215.0, Core, "",
        "SETTINGS_MAX_FRAME_SIZE.";
    h2_enable_push: Bool, "0", 0.0, 1.0, Core, "",
        "Accepted for compatibility; the server never pushes.";
    h2_enable_connect_protocol: Bool, "1", 0.0, 1.0, Core, "",
        "SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441).";
    h2_max_header_list_size: Bytes, "65536", 1.0, 2147483647.0, Core, "",
        "SETTINGS_MAX_HEADER_LIST_SIZE, enforced.";
    h2_rst_rate_limit: Hash, "burst 1000 rate 33", 0.0, 0.0, Perl, "",
        "Token bucket for incoming RST_STREAM frames: burst and rate.";
}

/// Connections served at once where `max_connections` is 0.
pub const DEFAULT_MAX_CONNECTIONS: u64 = 1000;

/// Longest request line in bytes, without its CRLF; a longer one is answered 414. Not an option
/// of the server: only `PAGI::Server::Protocol::HTTP1` sets it, for a connection of its own.
pub const MAX_REQUEST_LINE: usize = 8192;

/// What the core obeys. Built by [`Config::set`] from the values that Perl checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// See the option table.
    pub max_connections: u64,
    /// `None` means unlimited.
    pub max_body_size: Option<u64>,
    /// See [`MAX_REQUEST_LINE`].
    pub max_request_line_size: usize,
    /// See the option table.
    pub max_header_size: usize,
    /// See the option table.
    pub max_header_count: usize,
    /// See the option table.
    pub write_high_watermark: usize,
    /// See the option table.
    pub write_low_watermark: usize,
    /// See the option table.
    pub sync_file_threshold: u64,
    /// `None` means never.
    pub timeout: Option<std::time::Duration>,
    /// `None` means never.
    pub request_timeout: Option<std::time::Duration>,
    /// `None` means never.
    pub sse_idle_timeout: Option<std::time::Duration>,
    /// See the option table.
    pub shutdown_timeout: std::time::Duration,
    /// See the option table.
    pub max_receive_queue: usize,
    /// See the option table.
    pub max_ws_frame_size: u64,
    /// `None` means never.
    pub ws_idle_timeout: Option<std::time::Duration>,
    /// `None` means off.
    pub ws_compression: Option<u8>,
    /// It ends its stream alone, not the connection.
    pub sse_idle_stream: bool,
    /// HTTP/2 is spoken beside HTTP/1.
    pub http2: bool,
    /// How it is spoken.
    pub h2: Http2,
}

impl Default for Config {
    fn default() -> Config {
        let mut config = Config {
            max_connections: 0,
            max_body_size: None,
            max_request_line_size: MAX_REQUEST_LINE,
            max_header_size: 0,
            max_header_count: 0,
            write_high_watermark: 0,
            write_low_watermark: 0,
            sync_file_threshold: 0,
            timeout: None,
            request_timeout: None,
            sse_idle_timeout: None,
            shutdown_timeout: std::time::Duration::ZERO,
            max_receive_queue: 0,
            max_ws_frame_size: 0,
            ws_idle_timeout: None,
            ws_compression: None,
            sse_idle_stream: false,
            http2: false,
            h2: Http2::default(),
        };
        for row in OPTIONS.iter().filter(|r| r.side == Core) {
            let known = row.default.parse().is_ok_and(|value| config.set(row.name, value));
            debug_assert!(known, "core option {} has no field", row.name);
        }
        let limit = OPTIONS.iter().find(|r| r.name == "h2_rst_rate_limit");
        config.h2.limit_resets(limit.map_or("", |row| row.default));
        config
    }
}

impl Config {
    /// Takes over one option of side [`Side::Core`]; false for a name the core does not know.
    pub fn set(&mut self, name: &str, value: f64) -> bool {
        let count = value.clamp(0.0, ANY) as u64;
        let seconds = (value > 0.0).then(|| std::time::Duration::from_secs_f64(value.min(3.2e7)));
        match name {
            "max_connections" if count == 0 => self.max_connections = DEFAULT_MAX_CONNECTIONS,
            "max_connections" => self.max_connections = count,
            "max_body_size" => self.max_body_size = (count > 0).then_some(count),
            "max_request_line_size" => self.max_request_line_size = count as usize,
            "max_header_size" => self.max_header_size = count as usize,
            "max_header_count" => self.max_header_count = count as usize,
            "write_high_watermark" => self.write_high_watermark = count as usize,
            "write_low_watermark" => self.write_low_watermark = count as usize,
            "sync_file_threshold" => self.sync_file_threshold = count,
            "timeout" => self.timeout = seconds,
            "request_timeout" => self.request_timeout = seconds,
            "sse_idle_timeout" => self.sse_idle_timeout = seconds,
            "shutdown_timeout" => self.shutdown_timeout = seconds.unwrap_or_default(),
            "max_receive_queue" => self.max_receive_queue = count as usize,
            "max_ws_frame_size" => self.max_ws_frame_size = count,
            "ws_idle_timeout" => self.ws_idle_timeout = seconds,
            "ws_compression" => self.ws_compression = (count > 0).then_some(count as u8),
            "sse_idle_stream" => self.sse_idle_stream = count > 0,
            "http2" => self.http2 = count > 0,
            _ => return self.h2.set(name, count.min(u64::from(u32::MAX)) as u32),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_option_has_a_field() {
        let mut config = Config::default();
        for row in OPTIONS.iter().filter(|r| r.side == Core) {
            assert!(config.set(row.name, 1.0), "{}", row.name);
        }
        assert!(!config.set("no_such_option", 1.0));
    }

    #[test]
    fn defaults_lie_within_their_ranges() {
        for row in OPTIONS {
            if let (true, Ok(value)) = (row.max > 0.0, row.default.parse::<f64>()) {
                assert!(value >= row.min && value <= row.max, "{}", row.name);
            }
        }
    }

    #[test]
    fn zero_means_unlimited_or_never() {
        let mut config = Config::default();
        assert_eq!(config.max_connections, DEFAULT_MAX_CONNECTIONS);
        config.set("max_body_size", 0.0);
        config.set("timeout", 0.0);
        assert_eq!((config.max_body_size, config.timeout), (None, None));
    }
}
