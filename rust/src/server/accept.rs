//! Accepting connections, up to the limit, through descriptor shortage.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream};

use crate::connection::{Accepted, Context, serve};
use crate::error::io_text;
use crate::stream::{Arrival, Level, Notice};
use crate::transport::tcp;
use crate::wire::refusal::AT_CAPACITY;

/// How long accepting pauses when the process is out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection above the limit may take to read its refusal.
const FAREWELL: Duration = Duration::from_secs(1);

fn log(context: &Context, level: Level, text: String) {
    context.links.up.send(Arrival::Server(Notice::Log(level, text)));
}

/// Tells of a connection that could not be taken.
pub fn log_failure(context: &Context, error: &std::io::Error) {
    log(context, Level::Error, format!("Accept error: {}", io_text(error)));
}

/// Accepts until the task is aborted.
pub async fn run(context: Arc<Context>, listener: std::net::TcpListener) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return log_failure(&context, &error),
    };
    let mut exhausted = false;
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                if std::mem::take(&mut exhausted) {
                    let text = "Accept resumed after FD exhaustion pause";
                    log(&context, Level::Debug, text.into());
                }
                admit(&context, stream, client);
            }
            Err(error) if is_exhaustion(&error) => {
                if !std::mem::replace(&mut exhausted, true) {
                    let error = io_text(&error);
                    let text =
                        format!("Accept error (FD exhaustion): {error} - pausing accept for 100ms");
                    log(&context, Level::Warn, text);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                log_failure(&context, &error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn admit(context: &Arc<Context>, stream: TcpStream, client: std::net::SocketAddr) {
    let limit = context.config().max_connections;
    match context.registry.admit(limit) {
        Ok(permit) => {
            let (io, peer) = tcp::accepted(stream, client);
            let accepted = Accepted { io, peer, early: BytesMut::new() };
            tokio::spawn(serve(context.clone(), accepted, permit));
        }
        Err(there) => {
            let text = format!("Connection rejected: at capacity ({there}/{limit})");
            log(context, Level::Warn, text);
            tokio::spawn(turn_away(stream));
        }
    }
}

/// Answers 503 and waits briefly for the peer to close, so that the answer is not lost in a
/// reset.
async fn turn_away(mut stream: TcpStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let farewell = async {
        stream.write_all(AT_CAPACITY).await?;
        stream.shutdown().await?;
        let mut sink = [0; 1024];
        while stream.read(&mut sink).await? > 0 {}
        std::io::Result::Ok(())
    };
    // The peer may be gone already; there is nobody to tell.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
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
