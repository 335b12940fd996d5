//! Assembly: the runtime thread, listeners, shutdown, the access log.

mod accept;
pub mod access_log;
mod adopt;
mod runtime;
mod shutdown;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::bridge::{self, Mailbox};
use crate::config::Config;
use crate::connection::{Context, Observer, Registry};
use crate::stream::{Arrival, Links, Notice, Stream};
use crate::transport::tls::{Reload, Store};
use crate::transport::{Peer, Socket};
use crate::wire::{Refusal, RequestHead};

use access_log::{Format, Request};
pub use adopt::Adopted;
pub use runtime::Runtime;

/// One server: its listeners, its connections, and the mail for its Perl thread.
pub struct Server {
    context: Arc<Context>,
    mailbox: Mailbox<Arrival>,
    log: Arc<Log>,
    runtime: Runtime,
    stopping: Arc<AtomicBool>,
    accepting: Mutex<Vec<AbortHandle>>,
    gate: accept::Gate,
    pump: AbortHandle,
    tls: OnceLock<Arc<Store>>,
}

/// What a server is started with.
pub struct Setup {
    /// The core's options.
    pub config: Config,
    /// The access log's format; none where it is off.
    pub log: Option<Format>,
    /// Whether the `fullflush` extension is advertised.
    pub may_fullflush: bool,
}

/// The access log's format, which may be changed: reading it costs two atomic operations.
struct Log(RwLock<Option<Format>>);

impl Log {
    fn set(&self, format: Option<Format>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = format;
    }

    fn line<'a>(&self, request: impl FnOnce() -> Option<Request<'a>>) -> Option<String> {
        let format = self.0.read().unwrap_or_else(PoisonError::into_inner);
        format.as_ref().and_then(|format| Some(format.line(&request()?)))
    }
}

/// Writes refusals to the access log.
struct RefusalLog {
    log: Arc<Log>,
    links: Arc<Links>,
}

impl Observer for RefusalLog {
    fn refused(&self, peer: &Peer, head: Option<&RequestHead>, refusal: Refusal) {
        if let Some(line) = self.log.line(|| Some(Request::refused(peer, head, refusal))) {
            self.links.up.send(Arrival::Server(Notice::Access(line)));
        }
    }
}

impl Server {
    /// Starts a server on the process's runtime; it listens nowhere yet.
    pub fn start(runtime: Runtime, setup: Setup) -> io::Result<Server> {
        let (up, mailbox) = bridge::up()?;
        let (down, outlet) = bridge::down::<Arc<Stream>>();
        let links = Arc::new(Links { up, down, memo: Arc::default() });
        let log = Arc::new(Log(RwLock::new(setup.log)));
        let observer = RefusalLog { log: log.clone(), links: links.clone() };
        let context = Context {
            config: Mutex::new(Arc::new(setup.config)),
            links,
            registry: Registry::default(),
            may_fullflush: AtomicBool::new(setup.may_fullflush),
            observer: Box::new(observer),
        };
        let pump = runtime.spawn(async move {
            loop {
                std::future::poll_fn(|cx| outlet.poll_take(cx)).await.wake();
            }
        });
        Ok(Server {
            context: Arc::new(context),
            mailbox,
            log,
            runtime,
            stopping: Arc::default(),
            accepting: Mutex::default(),
            gate: accept::Gate::default(),
            pump,
            tls: OnceLock::new(),
        })
    }

    /// Makes the TCP listeners that follow secure. The first call counts.
    pub fn secure(&self, store: Store) {
        self.tls.get_or_init(|| Arc::new(store));
    }

    /// Reads the certificates anew for connections accepted from now on.
    pub fn reload_tls(&self) -> Reload {
        self.tls.get().map_or(Ok(()), |store| store.reload())
    }

    /// Accepts on a listening socket; TLS is for TCP alone.
    pub fn listen(&self, socket: Socket) {
        let store = self.tls.get().filter(|_| matches!(socket, Socket::Tcp(_)));
        let security = store.cloned().map(accept::Security::new);
        let task = accept::run(self.context.clone(), socket, security, self.gate.clone());
        let handle = self.runtime.spawn(task);
        self.accepting.lock().unwrap_or_else(|e| e.into_inner()).push(handle);
    }

    /// Accepts nothing on any listener for so long. Those who connect wait.
    pub fn pause_accepting(&self, time: Duration) {
        self.runtime.spawn(accept::pause(self.gate.clone(), time));
    }

    /// Replaces the options for connections accepted from now on.
    pub fn configure(&self, config: Config) {
        *self.context.config.lock().unwrap_or_else(|e| e.into_inner()) = Arc::new(config);
    }

    /// Replaces the format of the access log, and what is advertised, from now on.
    pub fn reconfigure(&self, log: Option<Format>, may_fullflush: bool) {
        self.log.set(log);
        self.context.may_fullflush.store(may_fullflush, Ordering::Relaxed);
    }

    /// Where the news for the Perl thread arrives.
    pub fn mailbox(&self) -> &Mailbox<Arrival> {
        &self.mailbox
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.context.registry.count()
    }

    /// Wakes the core for everything posted to it.
    pub fn wake_core(&self) {
        self.context.links.down.wake();
    }

    /// The access log line of a finished stream; none where the log is off or the line was taken.
    pub fn access_line(&self, stream: &Stream) -> Option<String> {
        self.log.line(|| stream.claim_log().map(|tally| Request::finished(stream, tally)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_accepting();
        self.context.registry.abort();
        self.pump.abort();
    }
}
