//! One sleeping timer per connection, re-armed only when it fires: a request that comes in time
//! costs no timer operation.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::scope;

/// How often to look whether a client has left of which nothing is read, as what it sent before fills
/// the inbox, or is for an application that has yet to accept.
pub const LOOK: Duration = Duration::from_millis(500);

/// A head, or a frame, must be complete within this many idle timeouts (slowloris holds no slot for
/// longer).
pub const HEAD_PATIENCE: u32 = 2;

/// The earlier of two times of which there may be none.
pub fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// Fires at a deadline that is told anew at each poll.
#[derive(Default)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    registered: bool,
}

impl Timer {
    /// True once `deadline` has passed; otherwise the task is woken no later than then.
    pub fn is_due(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else { return false };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
            self.registered = false;
        }
        loop {
            if sleep.is_elapsed() {
                if Instant::now() >= deadline {
                    return true;
                }
                sleep.as_mut().reset(deadline);
                self.registered = false;
            }
            if self.registered {
                return false;
            }
            if sleep.as_mut().poll(cx) == Poll::Pending {
                self.registered = true;
                return false;
            }
        }
    }
}

/// The timers of a stream's scope that are running.
#[derive(Default)]
pub struct Alarms {
    running: Vec<(scope::Timer, Instant)>,
}

impl Alarms {
    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.running.iter().map(|(_, at)| *at).min()
    }

    /// One that is due.
    pub fn take(&mut self, now: Instant) -> Option<scope::Timer> {
        let due = self.running.iter().position(|(_, at)| *at <= now)?;
        Some(self.running.swap_remove(due).0)
    }

    /// Sets timers, or stops them where no time is given.
    pub fn set(&mut self, timers: &mut Vec<(scope::Timer, Option<Duration>)>) {
        let now = Instant::now();
        for (timer, after) in timers.drain(..) {
            self.running.retain(|(known, _)| *known != timer);
            self.running.extend(after.map(|after| (timer, now + after)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moves_on_is_kept_and_one_that_moves_back_too() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let start = Instant::now();
            let after = |ms| start + Duration::from_millis(ms);
            let mut timer = Timer::default();
            let mut polls = 0;
            std::future::poll_fn(|cx| {
                polls += 1;
                let deadline = if polls == 1 { after(60_000) } else { after(10) };
                if polls == 1 {
                    assert!(!timer.is_due(cx, Some(deadline)));
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if timer.is_due(cx, Some(deadline)) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            assert!(start.elapsed() >= Duration::from_millis(10));
            assert!(start.elapsed() < Duration::from_secs(30));
        });
    }
}
