//! Every state of the `websocket` grammar against every event, and against every end.

use super::*;
use crate::event::PairList;
use crate::scope::{Note, Range, Source};
use crate::wire::fields::Fields;
use crate::wire::h1::request::parse_whole;

/// What a scope asked for, as words; frames by their opcode and payload.
#[derive(Default)]
struct Log {
    words: Vec<String>,
    queue: Queue,
    is_choked: bool,
}

impl Log {
    fn say(&mut self, word: impl Into<String>) {
        self.words.push(word.into());
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.words)
    }
}

impl Effects for Log {
    fn head(&mut self, head: ResponseHead) {
        self.say(format!("head {}", head.status));
    }
    fn tunnel(&mut self, head: ResponseHead) {
        self.say(format!("tunnel {}", head.fields.spans.len()));
    }
    fn data(&mut self, bytes: &[u8]) {
        match bytes {
            [first, _] if first & 0x80 != 0 => self.say(format!("frame {:x}", first & 15)),
            [] => {}
            _ => self.say(String::from_utf8_lossy(bytes)),
        }
    }
    fn file(&mut self, _: Source<'_>, _: Range) -> Result<u64, SendError> {
        Err(SendError::Unsupported("a file"))
    }
    fn flush(&mut self) {}
    fn trailers(&mut self, _: Fields) {}
    fn end(&mut self) {
        self.say("end");
    }
    fn refuse(&mut self, refusal: Refusal) {
        self.say(format!("refuse {}", refusal.status()));
    }
    fn abort(&mut self, _: Reason) {
        self.say("abort");
    }
    fn arm(&mut self, timer: Timer, after: Option<Duration>) {
        if let Some(after) = after {
            self.say(format!("{timer:?} in {}", after.as_secs_f64()));
        }
    }
    fn deliver(&mut self, event: Receive) {
        self.queue.events += 1;
        self.queue.bytes += event.weight();
        self.say("deliver");
    }
    fn queue(&self) -> Queue {
        self.queue
    }
    fn is_choked(&mut self) -> bool {
        self.is_choked
    }
    fn await_sent(&mut self) {
        self.say("await sent");
    }
    fn note(&mut self, note: Note) {
        self.say(format!("{note:?}"));
    }
}

fn scope() -> WebSocket {
    let head = "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    let config = Config { max_receive_queue: 2, max_ws_frame_size: 100, ..Config::default() };
    WebSocket::new(&parse_whole(head), &config)
}

fn in_state(state: State) -> WebSocket {
    let mut scope = scope();
    let mut log = Log::default();
    match state {
        State::Opening => {}
        State::Denying => drop(scope.deny(None, None)),
        State::Open | State::Closing => drop(scope.accept(None, None, &mut log)),
        State::Over => scope.gone(Reason::ClientClosed),
    }
    if state == State::Closing {
        scope.part(1000, "", &mut log);
    }
    assert_eq!(scope.state, state);
    scope
}

const STATES: [State; 5] =
    [State::Opening, State::Denying, State::Open, State::Closing, State::Over];

const EVENTS: [&str; 6] = ["accept", "send", "close", "keepalive", "deny", "body"];

fn event(name: &str) -> WebSocketSend<'static> {
    match name {
        "accept" => WebSocketSend::Accept { subprotocol: None, headers: None },
        "send" => WebSocketSend::Send { text: Some("hi"), bytes: None },
        "close" => WebSocketSend::Close { code: Some(1001), reason: None },
        "keepalive" => WebSocketSend::Keepalive { interval: Some(9.0), timeout: None },
        "deny" => WebSocketSend::DenialStart { status: Some(401), headers: None },
        _ => WebSocketSend::DenialBody { body: Some(b"who?"), more: false },
    }
}

#[test]
fn every_state_against_every_event() {
    let close = "\u{3}\u{fffd}";
    type Case<'a> = (State, &'a str, &'a [&'a str], State);
    let acts: &[Case<'_>] = &[
        (State::Opening, "accept", &["tunnel 0"], State::Open),
        (State::Opening, "close", &["refuse 403"], State::Over),
        (State::Opening, "deny", &[], State::Denying),
        (State::Denying, "close", &["refuse 403"], State::Over),
        (State::Denying, "body", &["head 403", "who?", "end"], State::Over),
        (State::Open, "send", &["frame 1", "hi"], State::Open),
        (State::Open, "close", &["frame 8", close, "await sent"], State::Closing),
        (State::Open, "keepalive", &["Keepalive in 9"], State::Open),
    ];
    for name in EVENTS {
        for state in STATES {
            let found = acts.iter().find(|(of, when, ..)| *of == state && *when == name);
            let (effects, next) = found.map_or((&[][..], state), |case| (case.2, case.3));
            let (mut scope, mut log) = (in_state(state), Log::default());
            scope.take(event(name), &mut log).expect("a legal or ignored event");
            assert_eq!((log.take(), scope.state), (words(effects), next), "in {state:?}");
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

#[test]
fn returning_in_every_state() {
    for (state, ok, ended, next) in [
        (State::Opening, true, Ended::NoResponse, State::Over),
        (State::Opening, false, Ended::FailedBeforeStart, State::Over),
        (State::Denying, true, Ended::NoResponse, State::Over),
        (State::Open, true, Ended::Complete, State::Closing),
        (State::Open, false, Ended::FailedAfterStart, State::Closing),
        (State::Closing, true, Ended::Complete, State::Closing),
        (State::Closing, false, Ended::FailedAfterEnd, State::Closing),
        (State::Over, true, Ended::Gone, State::Over),
        (State::Over, false, Ended::Gone, State::Over),
    ] {
        let (mut scope, mut log) = (in_state(state), Log::default());
        assert_eq!(scope.returned(ok, &mut log), ended, "{state:?} {ok}");
        assert_eq!(scope.state, next);
    }
}

#[test]
fn every_state_against_every_timer() {
    use Timer::{Answer, Farewell, Full, Idle, Keepalive};
    for state in STATES {
        for timer in [Idle, Keepalive, Answer, Farewell, Full] {
            let (mut scope, mut log) = (in_state(state), Log::default());
            scope.tick(timer, &mut log);
            let ends = matches!(
                (timer, state),
                (Idle, State::Opening | State::Denying | State::Open)
                    | (Answer, State::Open)
                    | (Farewell, State::Closing)
            );
            let was_over = state == State::Over;
            assert_eq!(scope.state == State::Over, ends || was_over, "{timer:?} {state:?}");
            assert_eq!(scope.own_end().is_some(), ends, "{timer:?} {state:?}");
        }
    }
}

#[test]
fn the_answer_to_a_close_is_due_once_that_has_left() {
    for state in STATES {
        let (mut scope, mut log) = (in_state(state), Log::default());
        scope.sent(&mut log);
        let due: &[&str] = if state == State::Closing { &["Farewell in 3"] } else { &[] };
        assert_eq!(log.take(), words(due), "{state:?}");
    }
}

/// A masked frame whose mask is 0.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[test]
fn a_full_inbox_stops_the_reading_then_is_held_against_the_peer() {
    let (mut scope, mut log) = (in_state(State::Open), Log::default());
    let three = [frame(0x81, b"1"), frame(0x81, b"2"), frame(0x81, b"3")].concat();
    assert_eq!(scope.feed(&three, &mut log), 14, "two fit");
    assert_eq!(log.take(), ["deliver", "deliver", "Full in 1"]);
    assert_eq!(scope.feed(&three[14..], &mut log), 0);
    log.queue.taken = 1;
    scope.tick(Timer::Full, &mut log);
    assert_eq!(log.take(), ["Full in 1"], "the application is at it");
    scope.tick(Timer::Full, &mut log);
    assert!(scope.has_room(log.queue), "reading goes on");
    assert_eq!(scope.feed(&three[14..], &mut log), 7);
    assert_eq!(scope.end.as_ref().map(|end| end.code), Some(1008));
}

#[test]
fn room_that_was_made_ends_the_strictness() {
    let (mut scope, mut log) = (in_state(State::Open), Log::default());
    scope.feed(&[frame(0x81, b"1"), frame(0x81, b"2")].concat(), &mut log);
    scope.tick(Timer::Full, &mut log);
    assert_eq!(scope.full, Full::Strict);
    log.queue.events = 0;
    scope.feed(&frame(0x81, b"3"), &mut log);
    assert_eq!((scope.full, scope.state), (Full::No, State::Open));
}

#[test]
fn a_violation_waits_for_the_answer_to_what_came_before() {
    let (mut scope, mut log) = (in_state(State::Open), Log::default());
    let both = [frame(0x81, b"1"), frame(0x83, b"")].concat();
    assert_eq!(scope.feed(&both, &mut log), both.len());
    assert_eq!((scope.state, scope.is_holding()), (State::Open, true));
    assert!(!scope.has_room(log.queue), "nothing more is read");
    scope.let_go(&mut log);
    assert_eq!(scope.end.as_ref().map(|end| end.code), Some(1002));
    let (mut scope, mut log) = (in_state(State::Open), Log::default());
    log.queue.is_awaited = true;
    scope.feed(&frame(0x83, b""), &mut log);
    assert_eq!(scope.state, State::Over, "nobody is to answer");
}

#[test]
fn pongs_wait_for_a_client_that_does_not_read() {
    let (mut scope, mut log) = (in_state(State::Open), Log::default());
    log.is_choked = true;
    scope.feed(&[frame(0x89, b"one"), frame(0x89, b"two")].concat(), &mut log);
    scope.tick(Timer::Keepalive, &mut log);
    assert_eq!(log.take(), Vec::<String>::new());
    scope.drained(&mut log);
    scope.drained(&mut log);
    assert_eq!(log.take(), ["frame a", "two"]);
}

#[test]
fn a_shutdown_before_the_accept_comes_after_it() {
    let (mut scope, mut log) = (scope(), Log::default());
    scope.stop(&mut log);
    assert_eq!(scope.state, State::Opening);
    scope.accept(None, None, &mut log).expect("a legal accept");
    assert_eq!(log.words.first().map(String::as_str), Some("tunnel 0"));
    assert_eq!(scope.own_end(), Some(Reason::ServerShutdown));
}

#[test]
fn a_subprotocol_is_a_token_that_was_offered() {
    let (mut scope, mut log) = (scope(), Log::default());
    for bad in ["a b", "a\r", "a\0", "a,b", "ä"] {
        assert!(scope.accept(Some(bad), None, &mut log).is_err(), "{bad}");
    }
    let headers: Vec<(&str, &str)> = vec![("X-A", "b"), ("Upgrade", "x"), ("content-length", "1")];
    let headers: &dyn PairList = &headers;
    scope.accept(Some("chat"), Some(headers), &mut log).expect("a legal accept");
    assert_eq!(log.take(), ["tunnel 2"], "the subprotocol and one field");
}
