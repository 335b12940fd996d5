//! A connection from its first byte to its last: the core's task, a client and an application,
//! turned by one thread so that a run is the same each time.
//!
//! The input is two lines of script and what the client writes:
//!
//! ```text
//! [S|R|Z]client's letters \n application's letters \n bytes
//! ```
//!
//! `S` makes limits and socket buffers small, `R` sets a `request_timeout`, `Z` does both. Time
//! stands still unless the client lets it pass, so whatever waits for a timer hangs and is found.

use std::fs::File;
use std::future::Future;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use pagi_server::bridge::{self, Mailbox, Outlet};
use pagi_server::config::Config;
use pagi_server::connection::{self, Accepted, Observer, Registry};
use pagi_server::stream::{Arrival, Links, Stream};
use pagi_server::transport::{Io, Peer, unix};
use pagi_server::wire::{Refusal, RequestHead};

use crate::app::{App, FILE_BYTE, FILE_SIZE};
use crate::client::{Client, Order};
use crate::record::Record;
use crate::response::{self, Facts};

/// Turns in a row in which nothing moves, after which nothing will.
const QUIET: usize = 4;

/// Turns that no honest run needs.
const MOST_TURNS: usize = 50_000;

/// Seconds of `request_timeout` where there is one.
const REQUEST_TIMEOUT: f64 = 5.0;

/// The applications of a connection.
pub trait Calls {
    /// Takes the news and goes on where it can; true if anything happened.
    fn turn(&mut self, mailbox: &Mailbox<Arrival>) -> bool;
    /// No call is under way.
    fn is_idle(&self) -> bool;
    /// What the calls are waiting for, for a report.
    fn state(&self) -> String;
    /// What each call did.
    fn records(&self) -> Vec<&Record>;
}

/// What is there when all is over.
pub struct End<'a, C> {
    /// The applications.
    pub calls: &'a C,
    /// What the client received.
    pub received: &'a [u8],
    /// Refusals that never became a stream.
    pub refused: usize,
    /// Somebody may have ended it before its time.
    pub is_cut: bool,
}

/// Runs one input.
pub fn check(data: &[u8]) {
    with_runtime(data, |[client, app, bytes], file| {
        let world = World::new(client, bytes, App::new(app, file), false);
        (world, |end: End<'_, App>| {
            response::check(&Facts {
                bytes: end.received,
                records: &end.calls.records,
                refused: end.refused,
                is_cut: end.is_cut,
            });
        })
    });
}

/// Plays what `make` makes of the three parts of an input, and checks the end.
pub fn with_runtime<'a, C: Calls, V: FnOnce(End<'_, C>)>(
    data: &'a [u8],
    make: impl FnOnce([&'a [u8]; 3], File) -> (World<C>, V),
) {
    thread_local! {
        static RUNTIME: Runtime = runtime();
        static FILE: File = file_to_send();
    }
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let parts = [(); 3].map(|()| lines.next().unwrap_or_default());
    let file = FILE.with(|file| file.try_clone().expect("a descriptor"));
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (world, verify) = make(parts, file);
            run(world, verify).await;
        });
    });
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    // The server's thread has all signals blocked; here a handler keeps SIGPIPE from killing.
    runtime.block_on(async { drop(signal(SignalKind::pipe()).expect("a handler")) });
    runtime
}

fn file_to_send() -> File {
    let path = std::env::temp_dir().join(format!("pagi-fuzz-{}", std::process::id()));
    std::fs::write(&path, vec![FILE_BYTE; FILE_SIZE as usize]).expect("a file to send");
    let file = File::open(&path).expect("a file to send");
    std::fs::remove_file(&path).expect("its name is not needed");
    file
}

async fn run<C: Calls>(mut world: World<C>, verify: impl FnOnce(End<'_, C>)) {
    let (mut quiet, mut turns) = (0, 0);
    while !world.is_over() {
        let moved = world.turn().await;
        quiet = if moved { 0 } else { quiet + 1 };
        turns += 1;
        assert!(quiet < QUIET, "it hangs: {}", world.state());
        assert!(turns < MOST_TURNS, "it turns without an end: {}", world.state());
    }
    world.finish(verify);
}

/// Counts the refusals that never became a stream.
#[derive(Default)]
struct Count(Arc<AtomicUsize>);

impl Observer for Count {
    fn refused(&self, _: &Peer, _: Option<&RequestHead>, _: Refusal) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Remembers that a task was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Flag>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Flag {
    fn new() -> Arc<Flag> {
        Arc::new(Flag(AtomicBool::new(true)))
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// A connection, its client and its applications.
pub struct World<C> {
    context: Arc<connection::Context>,
    mailbox: Mailbox<Arrival>,
    outlet: Outlet<Arc<Stream>>,
    connection: Option<Pin<Box<dyn Future<Output = ()>>>>,
    connection_woken: Arc<Flag>,
    outlet_woken: Arc<Flag>,
    client: Client,
    app: C,
    refused: Arc<AtomicUsize>,
    passed: Duration,
    aborted: bool,
}

impl<C: Calls> World<C> {
    /// Before anything has happened.
    pub fn new(letters: &[u8], bytes: &[u8], app: C, is_http2: bool) -> World<C> {
        let (kind, script) = match letters.split_first() {
            Some((kind @ (b'S' | b'R' | b'Z'), script)) => (*kind, script),
            _ => (b' ', letters),
        };
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        for socket in [&near, &far] {
            socket.set_nonblocking(true).expect("a socket that does not block");
            if kind != b' ' && kind != b'R' {
                // The least that the system grants.
                let _ = socket2::SockRef::from(socket).set_send_buffer_size(1);
            }
        }
        let near = tokio::net::UnixStream::from_std(near).expect("a socket of the runtime");
        let (io, peer) = (Io::Unix(near), unix::peer("/fuzz"));
        let accepted = Accepted { io, peer, early: BytesMut::new() };
        let (up, mailbox) = bridge::up().expect("a doorbell");
        let (down, outlet) = bridge::down();
        let count = Count::default();
        let refused = count.0.clone();
        let context = Arc::new(connection::Context {
            config: Mutex::new(Arc::new(config(kind, is_http2))),
            links: Arc::new(Links { up, down, memo: Arc::default() }),
            registry: Registry::default(),
            may_fullflush: (kind == b'S').into(),
            observer: Box::new(count),
        });
        let Ok(permit) = context.registry.admit(1) else { panic!("no place") };
        World {
            connection: Some(Box::pin(connection::serve(context.clone(), accepted, permit))),
            context,
            mailbox,
            outlet,
            connection_woken: Flag::new(),
            outlet_woken: Flag::new(),
            client: Client::new(far, script, bytes),
            app,
            refused,
            passed: Duration::ZERO,
            aborted: false,
        }
    }

    fn is_over(&self) -> bool {
        let client = self.client.is_through() || self.connection.is_none();
        self.connection.is_none() && client && self.app.is_idle()
    }

    /// Everybody's turn; true if anything moved.
    async fn turn(&mut self) -> bool {
        // The runtime looks at its sockets and timers.
        tokio::task::yield_now().await;
        let mut moved = self.pump();
        if self.connection_woken.take() {
            if let Some(connection) = &mut self.connection {
                let waker = Waker::from(self.connection_woken.clone());
                if connection.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    self.connection = None;
                }
                moved = true;
            }
        }
        let (acted, order) = self.client.turn();
        match order {
            Some(Order::Pass(time)) => {
                self.passed += time;
                tokio::time::advance(time).await;
            }
            Some(Order::Drain) => self.context.registry.drain(),
            Some(Order::Abort) => {
                self.aborted = true;
                self.context.registry.abort();
            }
            None => {}
        }
        moved | acted | self.app.turn(&self.mailbox)
    }

    /// The task that hands on what the application posted.
    fn pump(&mut self) -> bool {
        if !self.outlet_woken.take() {
            return false;
        }
        let waker = Waker::from(self.outlet_woken.clone());
        let mut cx = Context::from_waker(&waker);
        while let Poll::Ready(stream) = self.outlet.poll_take(&mut cx) {
            stream.wake();
        }
        true
    }

    fn state(&self) -> String {
        let there = self.connection.is_some();
        format!("connection there: {there}, app: {}", self.app.state())
    }

    /// What must hold once all is over.
    fn finish(mut self, verify: impl FnOnce(End<'_, C>)) {
        // What the client has not read yet.
        while self.client.turn().0 {}
        self.app.turn(&self.mailbox);
        self.outlet_woken.wake_by_ref();
        self.pump();
        assert_eq!(self.context.registry.count(), 0, "connections left");
        for record in self.app.records() {
            assert!(record.ended.is_some(), "a call that never ended");
            assert_eq!(Arc::strong_count(&record.stream), 1, "a stream that is still held");
        }
        let limit = if self.context.config().request_timeout.is_some() { 5 } else { 60 };
        verify(End {
            calls: &self.app,
            received: &self.client.received,
            refused: self.refused.load(Ordering::Relaxed),
            is_cut: self.client.aborted || self.aborted || self.passed.as_secs() >= limit,
        });
    }
}

/// What the option table has for the rest of HTTP/2, with few streams and few resets.
const HTTP2: &[(&str, f64)] = &[
    ("h2_max_concurrent_streams", 5.0),
    ("h2_initial_window_size", 65_535.0),
    ("h2_max_frame_size", 16_384.0),
    ("h2_enable_connect_protocol", 1.0),
    ("h2_max_header_list_size", 65_536.0),
    ("h2_rst_burst", 10.0),
];

fn config(kind: u8, is_http2: bool) -> Config {
    let mut config = Config::default();
    config.set("http2", f64::from(u8::from(is_http2)));
    for (name, value) in HTTP2 {
        config.set(name, *value);
    }
    let small: &[(&str, f64)] = &[
        ("max_body_size", 200.0),
        ("max_header_size", 200.0),
        ("max_header_count", 5.0),
        ("write_high_watermark", 2000.0),
        ("write_low_watermark", 500.0),
        ("sync_file_threshold", 100.0),
    ];
    let wanted = match kind {
        b'S' | b'Z' => small,
        _ => &[],
    };
    for (name, value) in wanted {
        config.set(name, *value);
    }
    if matches!(kind, b'R' | b'Z') {
        config.set("request_timeout", REQUEST_TIMEOUT);
    }
    config
}
