//! One sleeping timer per connection, re-armed only when it fires: a request that comes in time
//! costs no timer operation.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
