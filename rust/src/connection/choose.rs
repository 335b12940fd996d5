//! Which protocol a client speaks, where it may be either.
//= RFC 9113 3.3

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::timer::Timer;
use super::{Accepted, Permit, with_scratch};
use crate::config::Config;
use crate::wire::h2::PREFACE;

/// What a client turned out to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1, or something that HTTP/1 has an answer for.
    Http1,
    /// HTTP/2.
    Http2,
    /// Nothing at all, for too long.
    Nothing,
}

/// Reads what comes until it is the preface, or cannot become it; what was read is kept.
pub struct Choice<'a> {
    accepted: &'a mut Accepted,
    permit: &'a Permit,
    config: Arc<Config>,
    since: Instant,
    timer: Timer,
}

impl<'a> Choice<'a> {
    /// For a transport that nobody has spoken on.
    pub fn new(accepted: &'a mut Accepted, permit: &'a Permit, config: Arc<Config>) -> Self {
        Choice { accepted, permit, config, since: Instant::now(), timer: Timer::default() }
    }

    fn heard(&self) -> Option<Spoken> {
        let early = &self.accepted.early[..];
        if early.starts_with(PREFACE) {
            return Some(Spoken::Http2);
        }
        // HTTP/1 knows how to part with those who come too late, too.
        let other = !PREFACE.starts_with(early) || self.permit.control.is_draining();
        other.then_some(Spoken::Http1)
    }
}

impl Future for Choice<'_> {
    type Output = Spoken;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Spoken> {
        let this = self.get_mut();
        this.permit.control.listen(cx.waker());
        loop {
            if let Some(spoken) = this.heard() {
                return Poll::Ready(spoken);
            }
            let read = with_scratch(|scratch| {
                let read = this.accepted.io.poll_read(cx, scratch);
                if let Poll::Ready(Ok(n)) = read {
                    this.accepted.early.extend_from_slice(&scratch[..n]);
                }
                read
            });
            match read {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Spoken::Http1),
                Poll::Pending => break,
            }
        }
        let deadline = this.config.timeout.map(|limit| this.since + limit);
        if !this.timer.is_due(cx, deadline) {
            return Poll::Pending;
        }
        let is_silent = this.accepted.early.is_empty();
        Poll::Ready(if is_silent { Spoken::Nothing } else { Spoken::Http1 })
    }
}
