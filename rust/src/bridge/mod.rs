//! News for another thread; knows nothing of PAGI.
//!
//! Two one-way links. *Up* ends at a thread that sleeps in somebody else's event loop and is
//! woken through a [`Doorbell`]; *down* ends at a task of the runtime and is woken through its
//! waker. Both ring only while the other side is known to sleep: it says so, looks once more,
//! and only then sleeps, so a post either is seen by that last look or finds it asleep.

mod doorbell;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

pub use doorbell::Doorbell;

/// The sending end of an up link; cheap to clone.
pub struct Post<T> {
    queue: Sender<T>,
    bell: Arc<Doorbell>,
}

/// How long a mailbox looks for more news before it falls asleep.
const LINGER: Duration = Duration::from_micros(8);

/// A processor that was given away for longer is wanted by somebody whose work does not depend on
/// ours: being woken brings it back sooner.
const TOO_LONG: Duration = Duration::from_millis(1);

/// Looks in vain that a mailbox skips once lingering stopped to pay.
const LUCK_NEEDED: u32 = 16;

/// The most failures in a row that a run of successes outweighs.
const MOST_LUCK: u32 = LUCK_NEEDED + 4;

/// The receiving end of an up link.
pub struct Mailbox<T> {
    queue: Receiver<T>,
    bell: Arc<Doorbell>,
    luck: AtomicU32,
}

/// Makes an up link.
pub fn up<T>() -> std::io::Result<(Post<T>, Mailbox<T>)> {
    let (sender, receiver) = unbounded();
    let bell = Arc::new(Doorbell::new()?);
    Ok((
        Post { queue: sender, bell: bell.clone() },
        Mailbox { queue: receiver, bell, luck: AtomicU32::new(0) },
    ))
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Post<T> {
        Post { queue: self.queue.clone(), bell: self.bell.clone() }
    }
}

impl<T> Post<T> {
    /// Delivers `item`, and rings if nobody is up to find it.
    pub fn send(&self, item: T) {
        // Fails only once the mailbox is gone, and then nobody wants the news.
        if self.queue.send(item).is_ok() {
            self.bell.ring_if_asleep();
        }
    }
}

impl<T> Mailbox<T> {
    /// The doorbell to watch.
    pub fn bell(&self) -> &Doorbell {
        &self.bell
    }

    /// The next item, if there is one.
    pub fn take(&self) -> Option<T> {
        self.queue.try_recv().ok()
    }

    /// Looks for news a little longer, where that has paid of late: falling asleep and being
    /// woken costs more than the moment (2 to 3 us a request at 64 busy connections).
    ///
    /// Between two looks the processor is anybody's: where there are fewer of them than busy
    /// threads, those that we wait for get on with it (an echo over 100 WebSockets beside its load
    /// on two processors: 51,000 messages a second instead of 43,000, and 17.6 us of CPU for one
    /// instead of 22.1; medians of four rounds).
    fn linger(&self) -> bool {
        let luck = self.luck.load(Ordering::Relaxed);
        if luck < LUCK_NEEDED {
            // Out of luck: try again after a while, so that a light load costs next to nothing.
            self.luck.store(luck + 1, Ordering::Relaxed);
            return false;
        }
        let start = Instant::now();
        let mut waited = Duration::ZERO;
        while waited < LINGER {
            std::thread::yield_now();
            waited = start.elapsed();
            if !self.queue.is_empty() {
                let luck = if waited > TOO_LONG { 0 } else { (luck + 1).min(MOST_LUCK) };
                self.luck.store(luck, Ordering::Relaxed);
                return true;
            }
        }
        let left = if luck == LUCK_NEEDED { 0 } else { luck - 1 };
        self.luck.store(left, Ordering::Relaxed);
        false
    }

    /// Goes to sleep until the bell rings; false if news came meanwhile and must be taken first.
    pub fn sleep(&self) -> bool {
        if self.linger() {
            return false;
        }
        self.bell.sleep();
        if self.queue.is_empty() {
            return true;
        }
        if self.bell.wake() {
            // Awake again by itself: whoever turns the watching loop from inside a dispatch must
            // still be led here, so the bell stays rung for as long as this side is up.
            self.bell.ring();
        }
        false
    }

    /// Stops taking although more is there: the bell brings this side back.
    pub fn defer(&self) {
        self.bell.ring();
    }
}

struct Lane {
    asleep: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// The sending end of a down link; cheap to clone.
pub struct Inlet<T> {
    queue: Sender<T>,
    lane: Arc<Lane>,
}

/// The receiving end of a down link, owned by one task.
pub struct Outlet<T> {
    queue: Receiver<T>,
    lane: Arc<Lane>,
}

/// Makes a down link.
pub fn down<T>() -> (Inlet<T>, Outlet<T>) {
    let (sender, receiver) = unbounded();
    let lane = Arc::new(Lane { asleep: AtomicBool::new(false), waker: Mutex::new(None) });
    (Inlet { queue: sender, lane: lane.clone() }, Outlet { queue: receiver, lane })
}

impl<T> Inlet<T> {
    /// Queues `item` without waking anybody.
    pub fn post(&self, item: T) {
        // Fails only once the task is gone, with all it could have served.
        let _ = self.queue.send(item);
    }

    /// Wakes the task if it sleeps.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.lane.asleep.load(Ordering::Relaxed)
            && self.lane.asleep.swap(false, Ordering::AcqRel)
        {
            let waker = self.lane.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T> Outlet<T> {
    /// The next item; pending once there is none, with the task's waker left behind.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<T> {
        if let Ok(item) = self.queue.try_recv() {
            return Poll::Ready(item);
        }
        self.leave_waker(cx.waker());
        self.lane.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        match self.queue.try_recv() {
            Ok(item) => {
                self.lane.asleep.store(false, Ordering::Relaxed);
                Poll::Ready(item)
            }
            Err(_) => Poll::Pending,
        }
    }

    fn leave_waker(&self, waker: &Waker) {
        let mut slot = self.lane.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !slot.as_ref().is_some_and(|w| w.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_post_is_lost_between_looking_and_sleeping() {
        let (post, mailbox) = up::<u32>().expect("a doorbell");
        let sender = std::thread::spawn(move || (0..200_000).for_each(|n| post.send(n)));
        let mut next = 0;
        while next < 200_000 {
            while let Some(n) = mailbox.take() {
                assert_eq!(n, next);
                next += 1;
            }
            if next < 200_000 && mailbox.sleep() {
                assert!(mailbox.bell().wait_for_test(), "slept through a post");
            }
        }
        sender.join().expect("the sender ran to its end");
    }

    #[test]
    fn the_bell_is_rung_while_its_owner_is_up() {
        let (post, mailbox) = up::<u32>().expect("a doorbell");
        assert!(mailbox.sleep());
        post.send(1);
        assert!(mailbox.bell().is_rung());
        assert!(!mailbox.sleep(), "the item is still there");
        assert!(mailbox.bell().is_rung(), "a nested loop must find its way");
    }

    #[test]
    fn nobody_rings_while_the_other_side_is_up() {
        let (post, mailbox) = up::<u32>().expect("a doorbell");
        assert!(mailbox.sleep());
        post.send(1);
        assert!(mailbox.bell().is_rung());
        assert_eq!(mailbox.take(), Some(1));
        mailbox.bell().silence();
        post.send(2);
        assert!(!mailbox.bell().is_rung());
        assert!(!mailbox.sleep(), "the second item is still there");
    }
}
