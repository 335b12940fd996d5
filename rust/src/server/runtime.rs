//! The core thread: one tokio runtime on one thread per process.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::task::AbortHandle;

/// A block of this size that comes and goes makes glibc keep up to twice as much at the end of a
/// heap, where it gives back what is above 128 KiB otherwise. Messages and bodies of some KiB cross
/// between the two threads all the time: an echo of 16 KiB over 100 connections cost 1.6 page
/// faults and 37 us, and none and 23 us with this. Elsewhere it does nothing.
const LESSON: usize = 1024 * 1024;

fn teach_malloc() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LESSON)));
}

/// A handle on the process's core thread. The thread lives as long as the process: it holds no
/// work of its own and sleeps when no server runs.
#[derive(Clone)]
pub struct Runtime {
    handle: Handle,
}

impl Runtime {
    /// Starts the thread. The caller blocks all signals around this call: the thread inherits
    /// its mask, and no signal may ever be delivered to it.
    pub fn start() -> io::Result<Runtime> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        teach_malloc();
        std::thread::Builder::new().name("pagi-core".into()).spawn(move || {
            runtime.block_on(std::future::pending::<()>());
        })?;
        Ok(Runtime { handle })
    }

    /// Runs a task on the core thread.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(task).abort_handle()
    }
}
