//! Who is connected, how many there may be, and how they are told to end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

const RUN: u8 = 0;
const DRAIN: u8 = 1;
const ABORT: u8 = 2;

/// One connection's ear for the server.
#[derive(Default)]
pub struct Control {
    order: AtomicU8,
    busy: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Control {
    /// No further request may start.
    pub fn is_draining(&self) -> bool {
        self.order.load(Ordering::Acquire) != RUN
    }

    /// Everything must end now.
    pub fn is_aborted(&self) -> bool {
        self.order.load(Ordering::Acquire) == ABORT
    }

    /// Whether a request is running.
    pub fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Release);
    }

    /// Where to reach the connection's task.
    pub fn listen(&self, waker: &Waker) {
        let mut slot = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !slot.as_ref().is_some_and(|w| w.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    fn give(&self, order: u8) {
        self.order.fetch_max(order, Ordering::AcqRel);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The connections of one server.
#[derive(Default)]
pub struct Registry {
    all: Arc<Mutex<HashMap<usize, Arc<Control>>>>,
    count: Arc<AtomicUsize>,
    next: AtomicUsize,
    draining: AtomicBool,
}

/// A connection's place: a limit is a permit that travels with the work.
pub struct Permit {
    /// The connection's ear.
    pub control: Arc<Control>,
    key: usize,
    all: Arc<Mutex<HashMap<usize, Arc<Control>>>>,
    count: Arc<AtomicUsize>,
}

impl Registry {
    /// How many connections there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// A place, unless `limit` connections are there already; the number there is the error.
    pub fn admit(&self, limit: u64) -> Result<Permit, usize> {
        let there = self.count();
        if there as u64 >= limit {
            return Err(there);
        }
        let control = Arc::new(Control::default());
        if self.draining.load(Ordering::Acquire) {
            control.give(DRAIN);
        }
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(key, control.clone());
        self.count.fetch_add(1, Ordering::AcqRel);
        Ok(Permit { control, key, all: self.all.clone(), count: self.count.clone() })
    }

    /// Lets running requests finish, and no other start.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.tell_all(DRAIN);
    }

    /// Ends everything; returns how many connections had a request running.
    pub fn abort(&self) -> usize {
        let busy = self.lock().values().filter(|c| c.busy.load(Ordering::Acquire)).count();
        self.tell_all(ABORT);
        busy
    }

    fn tell_all(&self, order: u8) {
        let all: Vec<_> = self.lock().values().cloned().collect();
        for control in all {
            control.give(order);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Arc<Control>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_freed_when_its_permit_drops() {
        let registry = Registry::default();
        let first = registry.admit(1).ok();
        assert!(first.is_some());
        assert_eq!(registry.admit(1).err(), Some(1));
        drop(first);
        assert_eq!(registry.count(), 0);
        assert!(registry.admit(1).is_ok());
    }

    #[test]
    fn orders_reach_all_and_only_grow() {
        let registry = Registry::default();
        let permit = registry.admit(9).unwrap_or_else(|n| panic!("{n} there"));
        permit.control.set_busy(true);
        assert_eq!(registry.abort(), 1);
        registry.drain();
        assert!(permit.control.is_aborted());
        let late = registry.admit(9).unwrap_or_else(|n| panic!("{n} there"));
        assert!(late.control.is_draining());
    }
}
