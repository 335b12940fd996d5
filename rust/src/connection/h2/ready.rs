//! Which streams of a connection have something to do: so that a round looks at those alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The number of what is no stream: the connection itself.
pub const SELF: usize = usize::MAX;

/// Who was woken.
#[derive(Default)]
pub struct Ready {
    woken: Mutex<Woken>,
    /// A round is under way: it looks before it ends, so nobody needs to wake the task.
    is_turning: AtomicBool,
}

#[derive(Default)]
struct Woken {
    numbers: Vec<usize>,
    task: Option<Waker>,
}

/// The waker of one of them.
struct Bell {
    number: usize,
    is_rung: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut woken = self.ready.woken();
        woken.numbers.push(self.number);
        let is_turning = self.ready.is_turning.load(Ordering::Acquire);
        let task = if is_turning { None } else { woken.task.clone() };
        drop(woken);
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// A place for a stream: its bell, which outlives it.
pub struct Place {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Place {
    /// A place of this number.
    pub fn new(number: usize, ready: &Arc<Ready>) -> Place {
        let bell = Arc::new(Bell { number, is_rung: AtomicBool::new(false), ready: ready.clone() });
        Place { waker: bell.clone().into(), bell }
    }

    /// Its waker.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// From now on it can be woken again.
    pub fn silence(&self) {
        self.bell.is_rung.store(false, Ordering::Release);
    }
}

impl Ready {
    fn woken(&self) -> MutexGuard<'_, Woken> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A round of the task with this waker begins.
    pub fn begin(&self, task: &Waker) {
        self.is_turning.store(true, Ordering::Release);
        let mut woken = self.woken();
        if !woken.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            woken.task = Some(task.clone());
        }
    }

    /// Swaps those that were woken into `numbers`, which is empty.
    pub fn take(&self, numbers: &mut Vec<usize>) {
        std::mem::swap(&mut self.woken().numbers, numbers);
    }

    /// Ends the round, unless somebody was woken.
    pub fn end(&self) -> bool {
        let woken = self.woken();
        let is_quiet = woken.numbers.is_empty();
        self.is_turning.store(!is_quiet, Ordering::Release);
        is_quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    #[test]
    fn the_task_is_woken_between_rounds_only() {
        let (ready, task) = (Arc::new(Ready::default()), Arc::new(Task(AtomicBool::new(false))));
        let (waker, place) = (Waker::from(task.clone()), Place::new(7, &ready));
        let woken = || task.0.swap(false, Ordering::AcqRel);
        let mut numbers = Vec::new();
        ready.begin(&waker);
        place.waker().wake_by_ref();
        place.waker().wake_by_ref();
        assert!(!woken());
        assert!(!ready.end());
        ready.take(&mut numbers);
        assert_eq!(numbers, [7]);
        assert!(ready.end());
        place.waker().wake_by_ref();
        assert!(!woken(), "it was not silenced");
        place.silence();
        place.waker().wake_by_ref();
        assert!(woken());
    }
}
