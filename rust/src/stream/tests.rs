//! The waist, driven from both sides by one thread.

use std::task::Context;

use super::*;
use crate::bridge::{self, Mailbox};
use crate::config::Config;
use crate::error::SendError;
use crate::event::http::HttpReceive;
use crate::event::{self, Table, Value};
use crate::scope::{Ended, Sent};
use crate::wire::Refusal;
use crate::wire::h1::request::parse_whole;

struct Pair {
    stream: Arc<Stream>,
    mail: Mailbox<Arrival>,
}

fn open(head: &str) -> Pair {
    let (up, mail) = bridge::up().expect("a doorbell");
    let (down, _outlet) = bridge::down();
    let address = "127.0.0.1".to_owned();
    let peer = Peer { client: Some((address.clone(), 1)), server: (address, None), tls: None };
    let request = parse_whole(head);
    let scope = Scope::detect(&request, &Config::default(), false).expect("an http scope");
    let opening = Opening {
        request,
        peer: Arc::new(peer),
        links: Arc::new(Links { up, down, memo: Arc::default() }),
        marks: Marks { high: 10, low: 4, inline_file: 0 },
        spare: Outbox::default(),
        id: 0,
    };
    Pair { stream: Stream::open(opening, scope), mail }
}

const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";

fn news(pair: &Pair) -> u8 {
    let mut bits = 0;
    while let Some(arrival) = pair.mail.take() {
        if let Arrival::News(stream) = arrival {
            bits |= stream.take_news();
        }
    }
    bits
}

fn send(pair: &Pair, name: &str, values: &[Value<'_>]) -> Result<Sent, SendError> {
    let base = event::base(Table::HttpSend);
    let at = event::http::HttpSend::ROWS.iter().position(|row| row.name == name);
    pair.stream.send(at.map(|at| at + base), name, values)
}

fn start(pair: &Pair) {
    let sent = send(pair, "http.response.start", &[]);
    assert_eq!(sent, Ok(Sent { started: true, ..Sent::default() }));
}

#[test]
fn readable_is_told_only_to_a_waiting_receive() {
    let pair = open(POST);
    pair.stream.feed("a".into(), false);
    assert_eq!(news(&pair), 0);
    assert!(matches!(pair.stream.receive().0, Received::Event(_)));
    assert_eq!(pair.stream.receive().0, Received::Pending);
    pair.stream.feed("b".into(), false);
    pair.stream.feed("c".into(), true);
    assert_eq!(news(&pair), News::READABLE);
}

#[test]
fn sends_count_until_the_perl_thread_learns_of_the_end() {
    let pair = open("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    pair.stream.gone(Reason::ClientClosed);
    pair.stream.gone(Reason::WriteError);
    start(&pair);
    assert_eq!(news(&pair), News::GONE);
    assert_eq!(pair.stream.take_gone(), Some(Reason::ClientClosed));
    let late = send(&pair, "http.response.body", &[Value::Bytes(b"x")]);
    assert_eq!(late, Ok(Sent::default()));
    assert_eq!(send(&pair, "no.such.event", &[]), Ok(Sent::default()));
    assert_eq!(pair.stream.receive().0, Received::Event(Receive::Http(HttpReceive::Disconnect {})));
    assert_eq!(pair.stream.returned(true), Ended::Gone);
}

#[test]
fn an_end_after_the_call_is_no_news() {
    let pair = open("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    start(&pair);
    assert!(send(&pair, "http.response.body", &[]).is_ok_and(|sent| sent.completed));
    assert_eq!(pair.stream.receive().0, Received::Event(Receive::Http(HttpReceive::Disconnect {})));
    assert_eq!(pair.stream.returned(true), Ended::Complete);
    pair.stream.gone(Reason::ClientClosed);
    assert_eq!(news(&pair), 0);
}

#[test]
fn drained_is_told_once_below_the_low_mark() {
    let pair = open("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    start(&pair);
    let more = [Value::Bytes(b"0123456789"), Value::Int(1)];
    assert!(send(&pair, "http.response.body", &more).is_ok());
    assert_eq!(pair.stream.buffered(), 10);
    pair.stream.arm_drain();
    pair.stream.wrote(6);
    assert_eq!(news(&pair), 0, "four bytes are not below four");
    pair.stream.wrote(1);
    assert_eq!(news(&pair), News::DRAINED);
    pair.stream.wrote(3);
    assert_eq!(news(&pair), 0);
    pair.stream.arm_drain();
    assert_eq!(news(&pair), News::DRAINED, "nothing is buffered");
}

#[test]
fn a_lost_connection_drains_nothing_and_says_so() {
    for armed_before in [true, false] {
        let pair = open("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        start(&pair);
        let sent = send(&pair, "http.response.body", &[Value::Bytes(b"0123456789")]);
        assert!(sent.is_ok_and(|sent| sent.completed));
        if armed_before {
            pair.stream.arm_drain();
        }
        pair.stream.lost(Reason::WriteError);
        if !armed_before {
            pair.stream.arm_drain();
        }
        assert_eq!(news(&pair) & News::DRAINED, News::DRAINED);
        assert_eq!(pair.stream.take_gone(), None, "what was answered in full is complete");
    }
}

#[test]
fn an_unknown_event_is_named() {
    let pair = open("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let refused = send(&pair, "http.bogus", &[]).expect_err("no such event");
    assert_eq!(refused.to_string(), "Unrecognized event type 'http.bogus' for http protocol\n");
}

#[test]
fn a_refusal_answers_only_where_the_application_has_not() {
    let pair = open(POST);
    pair.stream.refuse(Refusal::PayloadTooLarge);
    assert_eq!(news(&pair), News::ANSWERED | News::GONE);
    assert_eq!(pair.stream.take_gone(), Some(Reason::BodyTooLarge));
    let mut out = Outbox::default();
    let waker = Waker::noop();
    assert!(pair.stream.take(&Context::from_waker(waker), &mut out).output);
    assert!(matches!(out.marks[..], [Mark::Refuse(Refusal::PayloadTooLarge)]));
    assert_eq!(pair.stream.claim_log().map(|tally| tally.status), Some(413));
    assert!(pair.stream.claim_log().is_none());
}

fn websocket(pair: &Pair, name: &str) -> Result<Sent, SendError> {
    let base = event::base(Table::WebSocketSend);
    let at = event::websocket::WebSocketSend::ROWS.iter().position(|row| row.name == name);
    pair.stream.send(at.map(|at| at + base), name, &[])
}

#[test]
fn the_scope_hears_when_all_of_its_output_has_left() {
    struct Woken(AtomicUsize);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let cx = Context::from_waker(&waker);
    let head = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let pair = open(head);
    let mut spare = Outbox::default();
    assert!(websocket(&pair, "websocket.accept").is_ok());
    assert!(websocket(&pair, "websocket.close").is_ok());
    let left = pair.stream.buffered();
    assert!(pair.stream.take(&cx, &mut spare).output);
    spare.clear();
    assert!(!pair.stream.take(&cx, &mut spare).output);
    pair.stream.wrote(left - 1);
    assert!(!pair.stream.take(&cx, &mut spare).output, "a byte is on its way yet");
    pair.stream.wrote(1);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "the connection looks again");
    assert!(pair.stream.take(&cx, &mut spare).output);
    assert!(
        spare
            .timers
            .iter()
            .any(|(timer, after)| { *timer == crate::scope::Timer::Farewell && after.is_some() })
    );
}
