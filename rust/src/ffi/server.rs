//! Servers across the boundary.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use super::value::{Owned, RawValue, Text, tag};
use crate::config::Config;
use crate::event::PairList;
use crate::server::access_log::Format;
use crate::server::{Adopted, Runtime, Server, Setup};
use crate::stream::{Arrival, Notice, Stream};
use crate::transport::Socket;
use crate::transport::tls::{Facts, Settings, Store};

/// The process's core thread, with the process it belongs to: a forked child must neither use
/// nor drop what it inherited.
static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

fn runtime() -> std::io::Result<Runtime> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let own = std::process::id();
    match &*slot {
        Some((pid, runtime)) if *pid == own => return Ok(runtime.clone()),
        _ => {}
    }
    let runtime = Runtime::start()?;
    std::mem::forget(slot.replace((own, runtime.clone())));
    Ok(runtime)
}

/// One core option.
#[repr(C)]
pub struct Setting {
    pub name: Text,
    pub value: f64,
}

/// What settings make of the defaults.
pub fn config(settings: &[Setting]) -> Config {
    let mut config = Config::default();
    for setting in settings {
        config.set(&setting.name.string(), setting.value);
    }
    config
}

/// The settings at a pointer.
pub fn slice<'a>(settings: *const Setting, count: usize) -> &'a [Setting] {
    if settings.is_null() {
        return &[];
    }
    // SAFETY: "Texts", for `count` settings.
    unsafe { std::slice::from_raw_parts(settings, count) }
}

fn server<'a>(server: *const Server) -> &'a Server {
    // SAFETY: "Handles".
    unsafe { &*server }
}

fn compiled(format: Text) -> Result<Option<Format>, String> {
    match format.len {
        0 => Ok(None),
        _ => Format::compile(&format.string()).map(Some),
    }
}

fn start(settings: &[Setting], format: Text, may_fullflush: u8) -> Result<Box<Server>, String> {
    let log = compiled(format)?;
    let setup = Setup { config: config(settings), log, may_fullflush: may_fullflush != 0 };
    let started = runtime().and_then(|runtime| Server::start(runtime, setup));
    started.map(Box::new).map_err(|e| format!("Cannot start the core: {e}\n"))
}

super::export! {
    /// Starts a server; null with a text in `error` where that fails. An empty `format` turns
    /// the access log off. The caller blocks all signals around this call.
    fn pagi_server_start(
        settings: *const Setting, count: usize, format: Text, may_fullflush: u8,
        error: &mut Owned,
    ) -> *const Server, std::ptr::null(), {
        match start(slice(settings, count), format, may_fullflush) {
            Ok(server) => Box::into_raw(server),
            Err(text) => {
                *error = Owned::new(text);
                std::ptr::null()
            }
        }
    }
}

super::export! {
    /// Ends a server and all its connections.
    fn pagi_server_free(server: *mut Server) -> (), (), {
        // SAFETY: "Handles": from `pagi_server_start`, freed once.
        drop(unsafe { Box::from_raw(server) });
    }
}

/// Hands on each name with its value.
fn each(
    value: &RawValue,
    mut set: impl FnMut(&str, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let pairs = value.pairs();
    for at in 0..pairs.count() {
        let pair = pairs.pair(at).map_err(|_| "ssl: a value is not a string of bytes")?;
        set(&String::from_utf8_lossy(pair.name), pair.value)?;
    }
    Ok(())
}

/// Certificates and keys as Perl names them.
fn settings(value: &RawValue) -> Result<Settings, String> {
    let mut settings = Settings::default();
    each(value, |name, value| settings.set(name, value))?;
    Ok(settings)
}

super::export! {
    /// Whether TLS can be set up like this: nothing, or the text that says why not. What is good is
    /// kept for processes that are forked from this one.
    fn pagi_tls_check(value: &RawValue) -> Owned, Owned::NONE, {
        settings(value).and_then(Store::check).map_or_else(Owned::new, |()| Owned::NONE)
    }
}

super::export! {
    /// The same, for a process that is about to give up the rights that reading them needs.
    fn pagi_tls_hold(value: &RawValue) -> Owned, Owned::NONE, {
        settings(value).and_then(Store::hold).map_or_else(Owned::new, |()| Owned::NONE)
    }
}

super::export! {
    /// Makes the TCP listeners that follow secure: nothing, or the text that says why not.
    fn pagi_server_secure(this: *const Server, value: &RawValue) -> Owned, Owned::NONE, {
        settings(value).and_then(Store::open).map_or_else(Owned::new, |store| {
            server(this).secure(store);
            Owned::NONE
        })
    }
}

super::export! {
    /// Reads the certificates anew: nothing, or the text that says why the old ones stay.
    fn pagi_server_reload_tls(this: *const Server) -> Owned, Owned::NONE, {
        server(this).reload_tls().map_or_else(Owned::new, |()| Owned::NONE)
    }
}

fn listen(server: &Server, fd: i32, path: Text) -> std::io::Result<()> {
    // SAFETY: "Descriptors": handed over.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let named = path.string();
    let named = (!path.ptr.is_null()).then_some(named.as_str());
    server.listen(Socket::take(fd, named)?);
    Ok(())
}

super::export! {
    /// Accepts on a listening socket, which is handed over; 0 with a text in `error` where it
    /// cannot. A null pointer for the path of anything but a Unix socket.
    fn pagi_server_listen(this: *const Server, fd: i32, path: Text, error: &mut Owned) -> u8, 0, {
        match listen(server(this), fd, path) {
            Ok(()) => 1,
            Err(failure) => {
                *error = Owned::new(failure.to_string());
                0
            }
        }
    }
}

/// A connection that somebody else accepted.
#[repr(C)]
pub struct RawAdopted {
    pub socket: i32,
    pub outer: i32,
    /// A null pointer for none.
    pub path: Text,
    pub early: Text,
    /// What is known of its TLS; absent for a connection in the clear.
    pub tls: RawValue,
}

fn facts(value: &RawValue) -> std::io::Result<Option<Facts>> {
    if value.tag == tag::ABSENT {
        return Ok(None);
    }
    let mut facts = Facts::none();
    each(value, |name, value| facts.set(name, value)).map_err(std::io::Error::other)?;
    Ok(Some(facts))
}

fn adopt(server: &Server, raw: &RawAdopted) -> std::io::Result<()> {
    // SAFETY: "Descriptors": `socket` is handed over, `outer` is open for the time of the call.
    let (socket, outer) =
        unsafe { (OwnedFd::from_raw_fd(raw.socket), BorrowedFd::borrow_raw(raw.outer)) };
    let path = raw.path.string();
    let path = (!raw.path.ptr.is_null()).then_some(path.as_str());
    let tls = facts(&raw.tls)?;
    server.adopt(Adopted { socket, outer, path, early: raw.early.bytes(), tls })
}

super::export! {
    /// Serves a connection that somebody else accepted; 0 with a text in `error` where it cannot.
    fn pagi_server_adopt(this: *const Server, raw: &RawAdopted, error: &mut Owned) -> u8, 0, {
        match adopt(server(this), raw) {
            Ok(()) => 1,
            Err(failure) => {
                *error = Owned::new(failure.to_string());
                0
            }
        }
    }
}

super::export! {
    /// Replaces the options for new connections.
    fn pagi_server_configure(this: *const Server, settings: *const Setting, count: usize)
        -> (), (), { server(this).configure(config(slice(settings, count))) }
}

super::export! {
    /// Replaces what does not cross as a number; nothing, or why the format is no format. An empty
    /// `format` turns the access log off.
    fn pagi_server_reconfigure(this: *const Server, format: Text, may_fullflush: u8)
        -> Owned, Owned::NONE, {
        match compiled(format) {
            Ok(log) => {
                server(this).reconfigure(log, may_fullflush != 0);
                Owned::NONE
            }
            Err(text) => Owned::new(text),
        }
    }
}

super::export! {
    /// The descriptor that becomes readable when there is news.
    fn pagi_server_bell(this: *const Server) -> i32, -1, { server(this).mailbox().bell().fd() }
}

super::export! {
    /// Accepts nothing for so many milliseconds.
    fn pagi_server_pause(this: *const Server, milliseconds: usize) -> (), (), {
        server(this).pause_accepting(std::time::Duration::from_millis(milliseconds as u64));
    }
}

super::export! {
    /// Begins the graceful shutdown.
    fn pagi_server_stop(this: *const Server) -> (), (), { server(this).stop() }
}

super::export! {
    /// Ends all connections now.
    fn pagi_server_abort(this: *const Server) -> (), (), { server(this).abort() }
}

super::export! {
    /// How many connections there are.
    fn pagi_server_count(this: *const Server) -> usize, 0, { server(this).connection_count() }
}

super::export! {
    /// Wakes the core for what was posted.
    fn pagi_server_wake(this: *const Server) -> (), (), { server(this).wake_core() }
}

super::export! {
    /// Goes to sleep; 0 if there is news after all.
    fn pagi_server_sleep(this: *const Server) -> u8, 1, {
        u8::from(server(this).mailbox().sleep())
    }
}

super::export! {
    /// Leaves the rest of the news for the next call from the loop.
    fn pagi_server_defer(this: *const Server) -> (), (), { server(this).mailbox().defer() }
}

/// The kinds of [`RawArrival`]; `xs/pagi_core.h` has the same numbers.
mod kind {
    pub const NONE: u8 = 0;
    pub const OPENED: u8 = 1;
    pub const NEWS: u8 = 2;
    pub const ACCESS: u8 = 3;
    pub const LOG: u8 = 4;
    pub const STOPPED: u8 = 5;
    pub const WARNING: u8 = 6;
}

/// One piece of news; the stream reference is the caller's to free.
#[repr(C)]
pub struct RawArrival {
    pub kind: u8,
    pub level: Text,
    pub stream: *const Stream,
    pub text: Owned,
}

super::export! {
    /// The next piece of news; its kind is also returned, 0 where there is none.
    fn pagi_server_next(this: *const Server, out: &mut RawArrival) -> u8, kind::NONE, {
        let none = RawArrival {
            kind: kind::NONE, level: Text::EMPTY, stream: std::ptr::null(), text: Owned::NONE,
        };
        *out = match server(this).mailbox().take() {
            None => none,
            Some(Arrival::Opened(stream)) => {
                RawArrival { kind: kind::OPENED, stream: Arc::into_raw(stream), ..none }
            }
            Some(Arrival::News(stream)) => {
                RawArrival { kind: kind::NEWS, stream: Arc::into_raw(stream), ..none }
            }
            Some(Arrival::Server(Notice::Access(line))) => {
                RawArrival { kind: kind::ACCESS, text: Owned::new(line), ..none }
            }
            Some(Arrival::Server(Notice::Log(level, line))) => RawArrival {
                kind: kind::LOG,
                level: Text::of(level.name().as_bytes()),
                text: Owned::new(line),
                ..none
            },
            Some(Arrival::Server(Notice::Warning(text))) => {
                RawArrival { kind: kind::WARNING, text: Owned::new(text), ..none }
            }
            Some(Arrival::Server(Notice::Stopped)) => RawArrival { kind: kind::STOPPED, ..none },
        };
        out.kind
    }
}

super::export! {
    /// The access log line of a finished stream; none where there is none to write.
    fn pagi_server_access_line(this: *const Server, stream: *const Stream)
        -> Owned, Owned::NONE, {
        // SAFETY: "Handles".
        let stream = unsafe { &*stream };
        server(this).access_line(stream).map_or(Owned::NONE, Owned::new)
    }
}
