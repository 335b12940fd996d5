//! Accepting connections, up to the limit, through descriptor shortage.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{RwLock, Semaphore};

use crate::connection::{Accepted, Context, Permit, serve};
use crate::error::io_text;
use crate::stream::{Arrival, Level, Notice};
use crate::transport::tls::{self, Store};
use crate::transport::{Io, Peer, Socket};
use crate::wire::refusal::AT_CAPACITY;

/// How long accepting pauses when the process is out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection above the limit may take to read its refusal.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a handshake may take where `timeout` does not say.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// How long a handshake may go on when the server ends meanwhile: the client's first request comes
/// next, and it shall not fail because a worker was replaced.
const LAST_CALL: Duration = Duration::from_millis(500);

/// Handshakes at once above the limit, only to refuse: they cost more than what they refuse.
const REFUSED_HANDSHAKES: usize = 32;

/// What makes the accepted connections of a listener secure.
pub struct Security {
    store: Arc<Store>,
    refused: Arc<Semaphore>,
}

impl Security {
    /// With the certificates of a store.
    pub fn new(store: Arc<Store>) -> Security {
        Security { store, refused: Arc::new(Semaphore::new(REFUSED_HANDSHAKES)) }
    }
}

fn log(context: &Context, level: Level, text: String) {
    context.links.up.send(Arrival::Server(Notice::Log(level, text)));
}

/// Tells of a connection that could not be taken.
pub fn log_failure(context: &Context, error: &std::io::Error) {
    log(context, Level::Error, format!("Accept error: {}", io_text(error)));
}

/// Shut while accepting pauses: who holds it for reading may accept one more.
pub type Gate = Arc<RwLock<()>>;

/// Shuts the gate for a while.
pub async fn pause(gate: Gate, time: Duration) {
    let _shut = gate.write().await;
    tokio::time::sleep(time).await;
}

/// Accepts until the task is aborted.
pub async fn run(context: Arc<Context>, socket: Socket, security: Option<Security>, gate: Gate) {
    let listener = match socket.listener() {
        Ok(listener) => listener,
        Err(error) => return log_failure(&context, &error),
    };
    let mut exhausted = false;
    loop {
        drop(gate.read().await);
        match listener.accept().await {
            Ok(carrier) => {
                if std::mem::take(&mut exhausted) {
                    let text = "Accept resumed after FD exhaustion pause";
                    log(&context, Level::Debug, text.into());
                }
                admit(&context, security.as_ref(), carrier);
            }
            Err(error) if is_exhaustion(&error) => {
                if !std::mem::replace(&mut exhausted, true) {
                    let error = io_text(&error);
                    let text =
                        format!("Accept error (FD exhaustion): {error} - pausing accept for 100ms");
                    log(&context, Level::Warn, text);
                }
                pause(gate.clone(), PAUSE).await;
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                log_failure(&context, &error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn admit(context: &Arc<Context>, security: Option<&Security>, (io, peer): (Io, Peer)) {
    let limit = context.config().max_connections;
    match (context.registry.admit(limit), security) {
        (Ok(permit), None) => {
            let accepted = Accepted { io, peer, early: BytesMut::new() };
            tokio::spawn(serve(context.clone(), accepted, permit));
        }
        (Ok(permit), Some(security)) => {
            let store = security.store.clone();
            tokio::spawn(secure(context.clone(), store, (io, peer), permit));
        }
        (Err(there), _) => {
            let text = format!("Connection rejected: at capacity ({there}/{limit})");
            log(context, Level::Warn, text);
            turn_away(context, security, io);
        }
    }
}

/// Serves a connection once its handshake is through. It counts from the beginning: a client that
/// never ends its handshake holds a place, and not for ever.
async fn secure(
    context: Arc<Context>,
    store: Arc<Store>,
    (io, mut peer): (Io, Peer),
    permit: Permit,
) {
    let Io::Tcp(stream) = io else { return };
    let patience = context.config().timeout.unwrap_or(HANDSHAKE);
    let live = current(&context, &store);
    let shaken = tokio::time::timeout(patience, tls::accept(stream, live));
    let mut shaken = pin!(shaken);
    let mut last_call = None;
    let outcome = std::future::poll_fn(|cx| {
        permit.control.listen(cx.waker());
        if permit.control.is_draining() {
            let sleep = last_call.get_or_insert_with(|| Box::pin(tokio::time::sleep(LAST_CALL)));
            if permit.control.is_aborted() || sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
        }
        shaken.as_mut().poll(cx).map(Some)
    });
    let failure = match outcome.await {
        None => return, // the server ends, and no request has begun
        Some(Ok(Ok((tls, facts)))) => {
            peer.tls = Some(Arc::new(facts));
            // A task of its own: it needs no room for the handshake any more.
            let io = Io::Tls(Box::new(tls));
            tokio::spawn(serve(context, Accepted { io, peer, early: BytesMut::new() }, permit));
            return;
        }
        Some(Ok(Err(error))) => error,
        Some(Err(_)) => "timed out".into(),
    };
    log(&context, Level::Debug, format!("SSL handshake failed: {failure}"));
}

/// The certificates in force; a change of the files is noticed here.
fn current(context: &Context, store: &Store) -> Arc<tls::Live> {
    let (live, reload) = store.current();
    match reload {
        None => {}
        Some(Ok(())) => log(context, Level::Info, "TLS certificates reloaded".into()),
        Some(Err(error)) => {
            let text = format!("TLS certificates not reloaded, the old ones stay: {error}");
            log(context, Level::Error, text);
        }
    }
    live
}

/// Answers 503 and waits briefly for the peer to close, so that the answer is not lost in a
/// reset.
fn turn_away(context: &Context, security: Option<&Security>, io: Io) {
    let (Some(security), true) = (security, matches!(io, Io::Tcp(_))) else {
        tokio::spawn(async { tokio::time::timeout(FAREWELL, refuse(io)).await });
        return;
    };
    let Io::Tcp(stream) = io else { return };
    let Ok(place) = security.refused.clone().try_acquire_owned() else { return };
    let live = current(context, &security.store);
    tokio::spawn(async {
        let refused = async {
            if let Ok((tls, _)) = tls::accept(stream, live).await {
                refuse(Io::Tls(Box::new(tls))).await;
            }
        };
        // The peer may be gone already; there is nobody to tell.
        let _ = tokio::time::timeout(FAREWELL, refused).await;
        drop(place);
    });
}

async fn refuse(mut io: Io) {
    use std::future::poll_fn;
    let mut answer = AT_CAPACITY;
    while !answer.is_empty() {
        match poll_fn(|cx| io.poll_write(cx, &[std::io::IoSlice::new(answer)])).await {
            Ok(written) if written > 0 => answer = &answer[written..],
            _ => return,
        }
    }
    let mut sink = [0; 1024];
    if poll_fn(|cx| io.poll_finish(cx, true)).await.is_ok() {
        while matches!(poll_fn(|cx| io.poll_read(cx, &mut sink)).await, Ok(read) if read > 0) {}
    }
}

fn is_exhaustion(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

/// The connection was gone before it was accepted.
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
