//! Graceful shutdown: no new connections, running requests to their end, then everything.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Server;
use crate::connection::Context;
use crate::stream::{Arrival, Level, Notice};

/// How often the drain looks whether the last connection is gone.
const LOOK: Duration = Duration::from_millis(5);

/// How long connections have to end once they were told to end at once.
const LAST: Duration = Duration::from_secs(2);

impl Server {
    /// Stops accepting; bound ports are free again when the core thread has run.
    pub fn stop_accepting(&self) {
        let handles =
            std::mem::take(&mut *self.accepting.lock().unwrap_or_else(|e| e.into_inner()));
        for handle in handles {
            handle.abort();
        }
    }

    /// Begins the shutdown; [`Notice::Stopped`] tells when no connection is left.
    pub fn stop(&self) {
        if self.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        self.stop_accepting();
        self.runtime.spawn(drain(self.context.clone()));
    }

    /// Ends everything now.
    pub fn abort(&self) {
        self.context.registry.abort();
    }
}

async fn drain(context: Arc<Context>) {
    let limit = context.config().shutdown_timeout;
    context.registry.drain();
    if !wait(&context, limit).await {
        let busy = context.registry.abort();
        let text = format!("Shutdown timeout: force-closing {busy} active connections");
        context.links.up.send(Arrival::Server(Notice::Log(Level::Warn, text)));
        wait(&context, LAST).await;
    }
    context.links.up.send(Arrival::Server(Notice::Stopped));
}

/// True once no connection is left, false after `limit`.
async fn wait(context: &Context, limit: Duration) -> bool {
    let start = Instant::now();
    while context.registry.count() > 0 {
        if start.elapsed() >= limit {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}
