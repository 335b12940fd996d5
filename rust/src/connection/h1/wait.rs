//! What a connection waits for, how long, and how that ends.
//!
//! ```text
//! wait     while                                limit                                end
//! Request  no request is there                  timeout since the last byte          silent close
//! Head     a head has begun                     2 * timeout since its first byte     408
//! Body     the application waits for the body   timeout without a byte; a least rate 408, or close
//! Stall    a request is running                 request_timeout without movement     warning, close
//! Write    output is queued, or all has left    timeout since some of it left        close
//! none     the next request waits for this call
//! Linger   the peer reads the last bytes        a constant                           close
//! LastCall no request is there, or only the     LAST_CALL since the last byte        close
//!          rest of one, and the server ends
//! ```
//!
//! Scopes that keep time themselves know no Stall; their timers tick here.
//!
//! A deadline may move on without notice: the timer looks again when it fires. While nobody would
//! notice that the application begins to wait, or that the peer left, a look is taken from time
//! to time.

use std::time::Duration;

use tokio::time::Instant;

use super::end::LINGER;
use super::{Connection, Phase};
use crate::connection::exchange::Exchange;
use crate::connection::timer::{HEAD_PATIENCE, LOOK, earlier};
use crate::error::Reason;
use crate::stream::{Arrival, Level, Notice};
use crate::wire::Refusal;

/// How long a connection that has just been used stays open when the server ends: the client's next
/// request may be under way, and no client shall see it fail because a worker was replaced.
const LAST_CALL: Duration = Duration::from_millis(250);

/// See the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Request,
    Head,
    Body,
    Stall,
    Write,
    Linger,
    LastCall,
}

/// The wait that is over first, and when.
type Due = Option<(Wait, Instant)>;

fn sooner(one: Due, other: Due) -> Due {
    match (one, other) {
        (Some(a), Some(b)) => Some(if b.1 < a.1 { b } else { a }),
        (one, other) => one.or(other),
    }
}

impl Connection {
    /// When to wake up although nothing moved.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        self.look_at = self.look_period().map(|period| {
            let next = Instant::now() + period;
            self.look_at.map_or(next, |at| at.min(next))
        });
        let tick = self.exchange.as_ref().and_then(Exchange::next_tick);
        let due = self.due().map(|(_, at)| at);
        earlier(earlier(due, self.look_at), tick)
    }

    fn look_period(&self) -> Option<Duration> {
        let exchange = self.exchange.as_ref().filter(|exchange| !exchange.is_over())?;
        match self.phase {
            Phase::Serving if self.unread_end.is_some() => Some(LOOK),
            Phase::Serving if !self.may_read() && !exchange.is_parting() => Some(LOOK),
            Phase::Serving if exchange.awaits_body() => self.config.timeout,
            _ => None,
        }
    }

    fn due(&self) -> Due {
        match (&self.phase, &self.exchange) {
            (Phase::Lingering { until, .. }, _) => Some((Wait::Linger, *until)),
            (Phase::Serving, None) if self.permit.control.is_draining() => {
                Some((Wait::LastCall, self.last_input + LAST_CALL))
            }
            (Phase::Serving, None) => {
                let idle = self.after(Wait::Request, self.last_input);
                if self.input.is_empty() { idle } else { sooner(idle, self.head_due()) }
            }
            (Phase::Serving, Some(exchange)) if !exchange.is_over() => self.running_due(exchange),
            (Phase::Serving, Some(exchange)) if self.holds_up(exchange) => None,
            (Phase::Serving, Some(exchange)) if self.is_left_over(exchange) => {
                Some((Wait::LastCall, self.write_since + LAST_CALL))
            }
            (_, Some(_)) => self.after(Wait::Write, self.write_since),
            (_, None) => self
                .after(Wait::Write, self.write_since)
                .or(Some((Wait::Write, self.write_since + LINGER))),
        }
    }

    /// The client has sent its next request; what that waits for is the application's return.
    fn holds_up(&self, exchange: &Exchange) -> bool {
        exchange.body.is_done() && self.queue.is_empty() && !self.input.is_empty()
    }

    /// All is answered, the server ends, and the client goes on with its request.
    fn is_left_over(&self, exchange: &Exchange) -> bool {
        let is_waiting = self.queue.is_empty() && !exchange.body.is_done();
        self.permit.control.is_draining() && is_waiting && exchange.is_settled()
    }

    fn after(&self, wait: Wait, since: Instant) -> Due {
        self.config.timeout.map(|limit| (wait, since + limit))
    }

    /// The server ends, and no request came in time.
    pub(super) fn is_last_call_over(&mut self) -> bool {
        self.permit.control.is_draining()
            && self.last_input.elapsed() >= LAST_CALL
            && !self.is_called()
    }

    /// A request came in time although nobody has read it yet: it is waited for anew.
    fn is_called(&mut self) -> bool {
        let is_called = !self.ended_input && self.io.has_input();
        if is_called {
            self.last_input = Instant::now();
        }
        is_called
    }

    fn head_due(&self) -> Due {
        self.config.timeout.map(|limit| (Wait::Head, self.head_since + limit * HEAD_PATIENCE))
    }

    fn running_due(&self, exchange: &Exchange) -> Due {
        let stall = self.config.request_timeout.filter(|_| !exchange.stream.keeps_time);
        let stall = stall.map(|limit| (Wait::Stall, exchange.moved + limit));
        let body = self
            .config
            .timeout
            .and_then(|limit| exchange.body_deadline(limit, self.last_input))
            .map(|at| (Wait::Body, at));
        let write = match self.queue.is_empty() {
            true => None,
            false => self.after(Wait::Write, self.write_since),
        };
        sooner(sooner(stall, body), write)
    }

    /// A deadline passed, or it is time for a look.
    pub(super) fn expire(&mut self, cx: &mut std::task::Context<'_>) {
        let now = Instant::now();
        if self.exchange.as_mut().is_some_and(|exchange| exchange.tick(now)) {
            return;
        }
        if self.look_at.is_some_and(|at| now >= at) {
            self.look_at = None;
            self.look_at_unread_end();
            if !self.may_read() && !self.ended_input && self.io.is_closed(cx) {
                self.end_of_input(Reason::ClientClosed);
            }
        }
        let Some((wait, _)) = self.due().filter(|(_, at)| now >= *at) else { return };
        let is_idle = self.exchange.is_none();
        if is_idle && matches!(wait, Wait::Request | Wait::LastCall) && self.is_called() {
            return;
        }
        if self.exchange.is_none() && matches!(wait, Wait::Request) {
            // Nothing broke off: a transport that can say so does, if it can at once.
            let _ = self.io.poll_finish(cx, true);
        }
        self.give_up_on(wait);
    }

    fn give_up_on(&mut self, wait: Wait) {
        match (wait, &mut self.exchange) {
            (Wait::Head, _) => self.refuse(None, Refusal::RequestTimeout),
            (Wait::Body, Some(exchange)) => exchange.refuse(Refusal::RequestTimeout),
            (Wait::Stall, _) => {
                self.warn_of_stall();
                self.give_up(Reason::ClientTimeout);
            }
            (Wait::Write, _) => self.give_up(Reason::WriteTimeout),
            (Wait::LastCall, None) => self.begin_closing(false),
            (Wait::LastCall, Some(_)) => self.begin_closing(true),
            (Wait::Request | Wait::Body | Wait::Linger, _) => self.give_up(Reason::IdleTimeout),
        }
    }

    fn warn_of_stall(&self) {
        let seconds = self.config.request_timeout.unwrap_or_default().as_secs_f64();
        let text = format!("Request stall timeout ({seconds}s) - closing connection");
        self.context.links.up.send(Arrival::Server(Notice::Log(Level::Warn, text)));
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::Poll;

    use bytes::BytesMut;

    use super::*;
    use crate::bridge;
    use crate::config::Config;
    use crate::connection::{Accepted, Context, Observer, Registry};
    use crate::stream::Links;
    use crate::transport::{Io, Peer};
    use crate::wire::RequestHead;

    struct Deaf;

    impl Observer for Deaf {
        fn refused(&self, _: &Peer, _: Option<&RequestHead>, _: Refusal) {}
    }

    fn context() -> Arc<Context> {
        let (up, _) = bridge::up().expect("a doorbell");
        let (down, _) = bridge::down();
        Arc::new(Context {
            config: Mutex::new(Arc::new(Config::default())),
            links: Arc::new(Links { up, down, memo: Arc::default() }),
            registry: Registry::default(),
            may_fullflush: false.into(),
            observer: Box::new(Deaf),
        })
    }

    fn pair() -> (TcpStream, Io) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("its address")).expect("in");
        let (server, _) = listener.accept().expect("a connection");
        server.set_nonblocking(true).expect("not to block");
        (client, Io::Tcp(tokio::net::TcpStream::from_std(server).expect("known to tokio")))
    }

    async fn turn(mut connection: Pin<&mut Connection>) {
        let is_over = poll_fn(|cx| Poll::Ready(connection.as_mut().poll(cx).is_ready())).await;
        assert!(!is_over, "closed");
    }

    #[test]
    fn a_request_that_nobody_has_heard_of_yet_is_not_closed_upon() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(request_at_the_end());
    }

    async fn request_at_the_end() {
        let context = context();
        let (mut client, io) = pair();
        let peer = Peer { client: None, server: (String::new(), None), tls: None };
        let Ok(permit) = context.registry.admit(1) else { panic!("no place") };
        let accepted = Accepted { io, peer, early: BytesMut::new() };
        let mut connection = Box::pin(Connection::new(context.clone(), accepted, permit));
        turn(connection.as_mut()).await;
        tokio::task::yield_now().await;
        turn(connection.as_mut()).await;
        // The runtime does not get to look at its sockets from here on.
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        std::thread::sleep(LAST_CALL * 2);
        context.registry.drain();
        turn(connection.as_mut()).await;
        assert_eq!(connection.phase, Phase::Serving);
        let served = poll_fn(|cx| {
            let _ = connection.as_mut().poll(cx);
            if connection.exchange.is_some() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(LAST_CALL * 8, served).await.expect("it is served");
    }
}
