//! Every state of the `http` grammar against every event.

use super::*;
use crate::scope::{Note, Queue, Timer};
use std::time::Duration;

#[derive(Default)]
struct Log(Vec<String>);

impl Effects for Log {
    fn head(&mut self, head: ResponseHead) {
        self.0.push(format!("head {}", head.status));
    }
    fn data(&mut self, bytes: &[u8]) {
        self.0.push(format!("data {}", String::from_utf8_lossy(bytes)));
    }
    fn file(&mut self, _: Source<'_>, range: Range) -> Result<u64, SendError> {
        let bytes = range.most.min(10);
        self.0.push(format!("file {} {bytes}", range.offset));
        if range.offset == 13 {
            return Err(SendError::File("no such file".into()));
        }
        Ok(bytes)
    }
    fn flush(&mut self) {}
    fn trailers(&mut self, fields: Fields) {
        self.0.push(format!("trailers {}", fields.spans.len()));
    }
    fn end(&mut self) {
        self.0.push("end".into());
    }
    fn refuse(&mut self, refusal: Refusal) {
        self.0.push(format!("refuse {}", refusal.status()));
    }
    fn abort(&mut self, reason: Reason) {
        self.0.push(format!("abort {}", reason.token()));
    }
    fn tunnel(&mut self, _: ResponseHead) {}
    fn arm(&mut self, _: Timer, _: Option<Duration>) {}
    fn deliver(&mut self, _: Receive) {}
    fn queue(&self) -> Queue {
        Queue::default()
    }
    fn is_choked(&mut self) -> bool {
        false
    }
    fn await_sent(&mut self) {}
    fn note(&mut self, _: Note) {}
}

fn start(status: i64) -> HttpSend<'static> {
    HttpSend::ResponseStart { status: Some(status), headers: None, trailers: false }
}

fn body(bytes: &'static str, more: bool) -> HttpSend<'static> {
    HttpSend::ResponseBody {
        body: Some(bytes.as_bytes()),
        more,
        file: None,
        fh: None,
        offset: None,
        length: None,
    }
}

fn trailers() -> HttpSend<'static> {
    HttpSend::ResponseTrailers { headers: None }
}

fn in_state(state: State) -> Http {
    Http { state, ..Http::new(Method::Other, false) }
}

#[test]
fn every_state_against_every_event() {
    type Case = (State, fn() -> HttpSend<'static>, &'static [&'static str], State);
    let cases: &[Case] = &[
        (State::Waiting, || start(200), &["head 200"], State::Body),
        (State::Waiting, || body("x", false), &[], State::Waiting),
        (State::Waiting, trailers, &[], State::Waiting),
        (State::Body, || start(200), &[], State::Body),
        (State::Body, || body("x", true), &["data x"], State::Body),
        (State::Body, || body("x", false), &["data x", "end"], State::Done),
        (State::Body, trailers, &[], State::Body),
        (State::Trailers, || start(200), &[], State::Trailers),
        (State::Trailers, || body("x", false), &[], State::Trailers),
        (State::Trailers, trailers, &["trailers 0", "end"], State::Done),
        (State::Done, || start(200), &[], State::Done),
        (State::Done, || body("x", false), &[], State::Done),
        (State::Done, trailers, &[], State::Done),
        (State::Over, || start(99), &[], State::Over),
        (State::Over, || body("x", false), &[], State::Over),
        (State::Over, trailers, &[], State::Over),
    ];
    for (state, event, effects, next) in cases {
        let (mut http, mut log) = (in_state(*state), Log::default());
        http.take(event(), &mut log).expect("a legal or ignored event");
        assert_eq!((log.0, http.state), (effects.iter().map(|e| e.to_string()).collect(), *next));
    }
}

#[test]
fn returning_in_every_state() {
    for (state, ok, ended, effects) in [
        (State::Waiting, true, Ended::NoResponse, &["refuse 500"][..]),
        (State::Waiting, false, Ended::FailedBeforeStart, &["refuse 500"]),
        (State::Body, true, Ended::Unfinished, &["abort server_error"]),
        (State::Body, false, Ended::FailedAfterStart, &["abort server_error"]),
        (State::Trailers, true, Ended::Unfinished, &["abort server_error"]),
        (State::Over, true, Ended::Gone, &[]),
        (State::Over, false, Ended::Gone, &[]),
    ] {
        let (mut http, mut log) = (in_state(state), Log::default());
        assert_eq!((http.returned(ok, &mut log), &log.0[..]), (ended, &effects.map_str()[..]));
        assert!(http.is_over());
    }
}

trait MapStr {
    fn map_str(&self) -> Vec<String>;
}

impl MapStr for &[&str] {
    fn map_str(&self) -> Vec<String> {
        self.iter().map(|s| s.to_string()).collect()
    }
}

#[test]
fn a_refused_start_leaves_the_way_open() {
    let (mut http, mut log) = (Http::new(Method::Other, false), Log::default());
    let bad = vec![("x", "a\r\nb")];
    let event = HttpSend::ResponseStart { status: Some(200), headers: Some(&bad), trailers: false };
    assert!(matches!(http.take(event, &mut log), Err(SendError::Header(_))));
    assert_eq!(http.take(start(100), &mut log), Err(SendError::Status("http.response.start", 100)));
    assert!(http.take(start(204), &mut log).is_ok_and(|sent| sent.started));
    assert_eq!(log.0, ["head 204"]);
}

#[test]
fn a_declared_length_is_kept() {
    let declared = vec![("content-length", "3")];
    let run = |pieces: &[(&'static str, bool)]| {
        let (mut http, mut log) = (Http::new(Method::Other, false), Log::default());
        let event =
            HttpSend::ResponseStart { status: None, headers: Some(&declared), trailers: false };
        http.take(event, &mut log).expect("a legal start");
        let mut excess = false;
        for (bytes, more) in pieces {
            excess |= http.take(body(bytes, *more), &mut log).expect("legal").excess;
        }
        (log.0, excess, http.is_complete())
    };
    let text = |s: &[&str]| s.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    assert_eq!(run(&[("abc", false)]), (text(&["head 200", "data abc", "end"]), false, true));
    assert_eq!(run(&[("abcd", false)]), (text(&["head 200", "data abc", "end"]), true, true));
    let short = text(&["head 200", "data ab", "abort server_error"]);
    assert_eq!(run(&[("ab", false)]), (short, false, false));
}

#[test]
fn head_and_bodyless_statuses_swallow_the_body() {
    for (method, status) in [(Method::Head, 200), (Method::Other, 204), (Method::Other, 304)] {
        let (mut http, mut log) = (Http::new(method, false), Log::default());
        http.take(start(status), &mut log).expect("a legal start");
        assert!(http.take(body("x", false), &mut log).is_ok_and(|sent| sent.completed));
        assert_eq!(log.0, [format!("head {status}"), "end".into()]);
    }
}

fn file(offset: i64, length: Option<i64>) -> HttpSend<'static> {
    HttpSend::ResponseBody {
        body: None,
        more: true,
        file: Some(b"/f"),
        fh: None,
        offset: Some(offset),
        length,
    }
}

#[test]
fn a_file_is_the_rest_of_the_body() {
    let (mut http, mut log) = (in_state(State::Body), Log::default());
    assert!(http.take(file(2, None), &mut log).is_ok_and(|sent| sent.completed && sent.file));
    assert_eq!(log.0, ["file 2 10", "end"]);
}

#[test]
fn a_file_that_cannot_be_sent_leaves_the_way_open() {
    let (mut http, mut log) = (in_state(State::Body), Log::default());
    assert!(http.take(file(13, None), &mut log).is_err());
    assert!(http.take(file(-1, None), &mut log).is_err());
    assert!(http.take(file(0, Some(-1)), &mut log).is_err());
    assert_eq!(http.state, State::Body);
    assert!(http.take(body("instead", false), &mut log).is_ok_and(|sent| sent.completed));
}

#[test]
fn one_event_has_one_source() {
    let (mut http, mut log) = (in_state(State::Body), Log::default());
    let HttpSend::ResponseBody { file, .. } = file(0, None) else { panic!("a body event") };
    let both = HttpSend::ResponseBody {
        body: Some(b"x"),
        more: false,
        file,
        fh: None,
        offset: None,
        length: None,
    };
    assert_eq!(http.take(both, &mut log), Err(SendError::Sources(2)));
}

#[test]
fn fullflush_needs_its_extension() {
    let mut log = Log::default();
    let refused = Http::new(Method::Other, false).take(HttpSend::FullFlush {}, &mut log);
    assert_eq!(refused, Err(SendError::Extension("fullflush")));
    assert!(Http::new(Method::Other, true).take(HttpSend::FullFlush {}, &mut log).is_ok());
}

#[test]
fn a_file_that_broke_undoes_the_completion() {
    for ok in [true, false] {
        let mut http = Http::new(Method::Other, false);
        let mut log = Log::default();
        http.complete = true;
        http.state = State::Done;
        http.broke();
        assert!(!http.is_complete());
        http.gone(Reason::ServerError);
        let ended = if ok { Ended::Unfinished } else { Ended::FailedAfterStart };
        assert_eq!(http.returned(ok, &mut log), ended);
        assert!(log.0.is_empty());
    }
}
