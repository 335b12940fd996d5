//! HTTP/2: many requests at once on one transport.
//!
//! The engine (the h2 crate) knows frames, windows and header compression; what comes in and goes
//! out passes a [`Carrier`], whose watch knows what the engine lets pass. One task drives the
//! engine and all streams; each is looked at only when somebody woke it ([`Ready`]).
//!
//! ```text
//! Shaking --preface, SETTINGS--> Open --(client gone, GOAWAY sent)--> Gone: lingering --> over
//! ```

mod accept;
mod carrier;
mod end;
mod inbound;
mod lane;
mod outgoing;
mod ready;
pub mod session;
mod wait;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{Builder, Handshake};
use tokio::time::Instant;

use super::timer::{Timer, earlier};
use super::{Accepted, Permit};
use crate::config::Config;
use crate::error::Reason;
use crate::stream::Outbox;
use crate::transport::Peer;
use crate::wire::h2::watch::{Limits, Watch};

use carrier::{Carrier, Ends};
use lane::{Fate, Lane, Round};
use ready::{Place, Ready, SELF};

/// Most bytes of one stream that the engine holds back from the transport.
const SEND_BUFFER: usize = 64 * 1024;

enum Engine {
    Shaking(Handshake<Carrier, Bytes>),
    Open(h2::server::Connection<Carrier, Bytes>),
    Gone,
}

/// One HTTP/2 connection; as a future it ends with the connection.
pub struct Connection {
    context: Arc<super::Context>,
    config: Arc<Config>,
    peer: Arc<Peer>,
    permit: Permit,
    carrier: Carrier,
    engine: Engine,
    ready: Arc<Ready>,
    own: Place,
    places: Vec<Place>,
    lanes: Vec<Option<Box<Lane>>>,
    free: Vec<usize>,
    /// How many streams there are.
    count: usize,
    /// Streams to be looked at in the next round, and the engine.
    due: Vec<usize>,
    /// An empty list, for its buffer.
    woken: Vec<usize>,
    /// Streams to be reset once the engine has written what it can.
    breaking: Vec<usize>,
    spare: Outbox,
    timer: Timer,
    /// When to look after streams that make no noise; see [`wait`].
    look_at: Option<Instant>,
    /// Since when there has been no stream.
    idle_since: Instant,
    /// Since when the server has been shutting down.
    parting_since: Option<Instant>,
    /// The last word was said: how long the client has to read it.
    linger_until: Option<Instant>,
    linger_left: usize,
    is_over: bool,
}

/// How many streams that the server has reset the engine remembers.
const FORGIVEN: usize = 1000;

/// How much the engine may keep for small frames that no stream has taken yet: twice what those of a
/// round cost it.
const BUDGET: usize = 2 * carrier::ROUND / 10 * 256;

fn builder(config: &Config) -> Builder {
    let settings = &config.h2;
    let mut builder = Builder::new();
    // A stream whose application does not read must not keep the others from theirs.
    let all = u64::from(settings.window) * u64::from(settings.streams);
    let resets = settings.rst_burst.map_or(usize::MAX, |burst| burst as usize);
    builder
        .max_concurrent_streams(settings.streams)
        .initial_window_size(settings.window)
        .initial_connection_window_size(all.clamp(65_535, i32::MAX as u64) as u32)
        .max_frame_size(settings.frame)
        .max_header_list_size(settings.header_list)
        .max_send_buffer_size(SEND_BUFFER)
        // The watch counts them; without it the engine's own limits on them would come first.
        .max_pending_accept_reset_streams(resets)
        .max_local_error_reset_streams(None)
        // What crosses a reset on its way is no fault, as long as the engine knows of the reset.
        .max_concurrent_reset_streams(FORGIVEN)
        .data_frame_budget(BUDGET);
    if settings.connect {
        builder.enable_connect_protocol();
    }
    builder
}

fn watch(config: &Config) -> Watch {
    Watch::new(Limits {
        frame: config.h2.frame,
        resets: config.h2.rst_burst.map(|burst| (burst, config.h2.rst_rate)),
    })
}

impl Connection {
    /// A connection over an accepted transport.
    pub fn new(context: Arc<super::Context>, accepted: Accepted, permit: Permit) -> Connection {
        let Accepted { io, peer, early } = accepted;
        let config = context.config();
        let carrier = Carrier::new(Ends::Io(io), early, watch(&config));
        let ready = Arc::new(Ready::default());
        Connection {
            engine: Engine::Shaking(builder(&config).handshake(carrier.clone())),
            context,
            config,
            peer: Arc::new(peer),
            permit,
            carrier,
            own: Place::new(SELF, &ready),
            ready,
            places: Vec::new(),
            lanes: Vec::new(),
            free: Vec::new(),
            count: 0,
            due: vec![SELF],
            woken: Vec::new(),
            breaking: Vec::new(),
            spare: Outbox::default(),
            timer: Timer::default(),
            look_at: None,
            idle_since: Instant::now(),
            parting_since: None,
            linger_until: None,
            linger_left: end::LINGER_BYTES,
            is_over: false,
        }
    }

    /// Rounds over everybody who was woken, until nobody was.
    fn turn(&mut self) {
        let mut numbers = std::mem::take(&mut self.woken);
        while !self.is_over {
            if self.due.is_empty() && self.ready.end() {
                break;
            }
            self.ready.take(&mut numbers);
            numbers.append(&mut self.due);
            let mut is_engine_due = false;
            for number in numbers.drain(..) {
                match number {
                    SELF => is_engine_due = true,
                    number => self.turn_lane(number),
                }
            }
            if is_engine_due || !self.breaking.is_empty() {
                self.own.silence();
                self.turn_engine();
            }
        }
        self.woken = numbers;
    }

    fn turn_lane(&mut self, number: usize) {
        let Some(Some(lane)) = self.lanes.get_mut(number) else { return };
        let Some(place) = self.places.get(number) else { return };
        place.silence();
        let mut round = Round { spare: &mut self.spare, is_draining: self.parting_since.is_some() };
        match lane.turn(&mut Context::from_waker(place.waker()), &mut round) {
            Fate::Lives => {
                let deadline = lane.deadline(&self.config);
                self.look_at = earlier(self.look_at, deadline);
            }
            Fate::Over => self.remove(number),
            Fate::Reset => self.breaking.push(number),
            Fate::All => self.part(),
        }
    }

    fn turn_engine(&mut self) {
        let waker = self.own.waker().clone();
        let mut cx = Context::from_waker(&waker);
        self.carrier.line().begin_round();
        loop {
            match &mut self.engine {
                Engine::Shaking(shaking) => match Pin::new(shaking).poll(&mut cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(open)) => self.opened(open),
                    Poll::Ready(Err(error)) => self.ended(Some(&error)),
                },
                Engine::Open(open) => match open.poll_accept(&mut cx) {
                    Poll::Pending if self.heed_late() => {}
                    Poll::Pending if self.breaking.is_empty() && !self.heed_fault() => break,
                    Poll::Pending => self.reset_breaking(),
                    Poll::Ready(Some(Ok((request, respond)))) => self.accept(request, respond),
                    Poll::Ready(Some(Err(error))) => self.ended(Some(&error)),
                    Poll::Ready(None) => self.ended(None),
                },
                Engine::Gone => return self.linger(&mut cx),
            }
        }
        self.carrier.hand_on(&mut cx);
        if self.carrier.line().is_round_full() {
            self.due.push(SELF);
        }
    }

    /// Takes a stream in.
    fn add(&mut self, lane: Lane) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.lanes.push(None);
            self.places.push(Place::new(self.places.len(), &self.ready));
            self.lanes.len() - 1
        });
        self.lanes[number] = Some(Box::new(lane));
        self.count += 1;
        self.permit.control.set_busy(true);
        self.due.push(number);
    }

    fn remove(&mut self, number: usize) {
        if self.lanes[number].take().is_none() {
            return;
        }
        self.free.push(number);
        self.count -= 1;
        if self.count == 0 {
            self.rest();
        }
    }

    /// No stream is left.
    fn rest(&mut self) {
        self.permit.control.set_busy(false);
        self.idle_since = Instant::now();
        self.look_at = None;
        if self.lanes.len() > end::KEEP_PLACES {
            (self.lanes, self.places, self.free) = Default::default();
        }
    }

    pub(super) fn reset_breaking(&mut self) {
        for number in std::mem::take(&mut self.breaking) {
            if let Some(Some(lane)) = self.lanes.get_mut(number) {
                lane.reset();
                self.remove(number);
            }
        }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.permit.control.listen(cx.waker());
        let mut before = None;
        loop {
            this.ready.begin(cx.waker());
            this.heed_control();
            this.turn();
            if this.is_over {
                return Poll::Ready(());
            }
            let deadline = this.deadline();
            if !this.timer.is_due(cx, deadline) {
                return Poll::Pending;
            }
            // Should a deadline ever stay, the others are not to pay for it.
            if before.replace(deadline) == Some(deadline) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.expire();
        }
    }
}

impl Drop for Connection {
    /// A task that ends out of turn, by a panic or with its runtime, must not leave its
    /// applications waiting.
    fn drop(&mut self) {
        self.lose_all(Reason::ServerError);
    }
}
