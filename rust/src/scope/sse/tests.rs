//! Every state of the `sse` grammar against every event.

use super::*;
use crate::event;
use crate::scope::{Note, Queue, Range, Source};
use crate::wire::Fields;
use crate::wire::h1::request::parse_whole;

/// What the scope asked for, as words.
#[derive(Default)]
struct Log {
    done: Vec<String>,
    is_choked: bool,
}

impl Effects for Log {
    fn head(&mut self, head: ResponseHead) {
        let fields = head.fields.iter().map(|(n, v)| {
            format!(" {}={}", String::from_utf8_lossy(n), String::from_utf8_lossy(v))
        });
        let endless = if head.endless { " endless" } else { "" };
        let fields: String = fields.collect();
        self.done.push(format!("head {}{endless}{fields}", head.status));
    }
    fn tunnel(&mut self, _: ResponseHead) {
        self.done.push("tunnel".into());
    }
    fn data(&mut self, bytes: &[u8]) {
        self.done.push(String::from_utf8_lossy(bytes).into_owned());
    }
    fn share(&mut self, piece: &dyn Piece) {
        self.done.push(format!("share {}", piece.make().len()));
    }
    fn file(&mut self, _: Source<'_>, _: Range) -> Result<u64, SendError> {
        self.done.push("file".into());
        Ok(0)
    }
    fn flush(&mut self) {}
    fn trailers(&mut self, _: Fields) {
        self.done.push("trailers".into());
    }
    fn end(&mut self) {
        self.done.push("end".into());
    }
    fn refuse(&mut self, refusal: Refusal) {
        self.done.push(format!("refuse {}", refusal.status()));
    }
    fn abort(&mut self, reason: Reason) {
        self.done.push(format!("abort {}", reason.token()));
    }
    fn arm(&mut self, timer: Timer, after: Option<Duration>) {
        let after = after.map_or("never".into(), |after| after.as_secs_f64().to_string());
        self.done.push(format!("{timer:?} {after}"));
    }
    fn deliver(&mut self, _: Receive) {
        self.done.push("deliver".into());
    }
    fn queue(&self) -> Queue {
        Queue::default()
    }
    fn is_choked(&mut self) -> bool {
        self.is_choked
    }
    fn await_sent(&mut self) {}
    fn note(&mut self, note: Note) {
        self.done.push(format!("{note:?}"));
    }
}

struct Pair {
    sse: Sse,
    log: Log,
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n";
const STARTED: &str = "head 200 endless content-type=text/event-stream cache-control=no-cache";

fn open(head: &str, idle: f64) -> Pair {
    let mut config = Config::default();
    config.set("sse_idle_timeout", idle);
    let mut pair = Pair { sse: Sse::new(&parse_whole(head), &config, false), log: Log::default() };
    pair.sse.open(&mut pair.log);
    pair
}

impl Pair {
    /// Sends an event with some fields; what follows from it, as one text.
    fn send(&mut self, name: &str, fields: &[(&str, Value<'_>)]) -> Result<Sent, String> {
        let (at, row) = SseSend::ROWS
            .iter()
            .enumerate()
            .find(|(_, row)| row.name == name)
            .unwrap_or_else(|| panic!("no event {name}"));
        let value = |field: &event::Field| fields.iter().find(|(n, _)| *n == field.name);
        let values: Vec<_> =
            row.fields.iter().map(|f| value(f).map_or(Value::Absent, |(_, v)| *v)).collect();
        let sent = self.sse.send((Table::SseSend, at), &values, &mut self.log);
        sent.map_err(|error| error.to_string())
    }

    fn ok(&mut self, name: &str, fields: &[(&str, Value<'_>)]) -> Sent {
        self.send(name, fields).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn done(&mut self) -> String {
        std::mem::take(&mut self.log.done).join("|")
    }

    fn reason(&self) -> String {
        let Receive::Sse(SseReceive::Disconnect { reason }) = self.sse.disconnect() else {
            return "another event".into();
        };
        reason
    }

    /// In that state, by the shortest way.
    fn in_state(state: State) -> Pair {
        let mut pair = open(GET, 0.0);
        match state {
            State::Waiting => {}
            State::Streaming => drop(pair.ok("sse.start", &[])),
            State::Closed => {
                pair.ok("sse.start", &[]);
                pair.ok("sse.close", &[]);
            }
            State::Declining => drop(pair.ok("sse.http.response.start", &[])),
            State::Declined => {
                pair.ok("sse.http.response.start", &[]);
                pair.ok("sse.http.response.body", &[]);
            }
            State::Over => pair.sse.gone(Reason::ClientClosed),
        }
        pair.done();
        assert_eq!(pair.sse.state, state);
        pair
    }
}

const STATES: [State; 6] = [
    State::Waiting,
    State::Streaming,
    State::Closed,
    State::Declining,
    State::Declined,
    State::Over,
];

fn text(text: &str) -> Value<'_> {
    Value::Text(text.as_bytes())
}

#[test]
fn the_whole_table() {
    let fields = [
        ("data", text("x")),
        ("comment", text("c")),
        ("interval", Value::Number(2.0)),
        ("body", Value::Bytes(b"b")),
    ];
    let late = |name: &str, after: &str| format!("cannot send '{name}' after {after}\n");
    let not_now = |name: &str| format!("cannot decline with {name} after sse.start\n");
    for state in STATES {
        for row in SseSend::ROWS {
            let mut pair = Pair::in_state(state);
            let found = pair.send(row.name, &fields).map(|_| pair.done());
            let found = found.as_deref().map_err(String::as_str);
            let is_response = row.name.starts_with("sse.http.response.");
            let after = late(row.name, "sse.close");
            let declined = late(row.name, "sse.http.response.start");
            let started = not_now(row.name);
            let wanted = match (state, row.name) {
                (State::Waiting, "sse.start") => Ok(STARTED),
                (State::Streaming, "sse.send") => Ok("data: x\n\n"),
                (State::Streaming, "sse.comment") => Ok(":c\n\n"),
                (State::Waiting | State::Streaming, "sse.keepalive") => Ok("Keepalive 2"),
                (State::Waiting, "sse.close") => Ok("refuse 500"),
                (State::Streaming, "sse.close") => Ok("end"),
                (State::Streaming, _) if is_response => Err(&started[..]),
                (State::Closed, name) if name != "sse.close" => Err(&after[..]),
                (State::Declining | State::Declined, _) if !is_response => Err(&declined[..]),
                (State::Declining, "sse.http.response.body") => {
                    Ok("head 200 content-length=1|b|end")
                }
                _ => Ok(""),
            };
            assert_eq!(found, wanted, "{state:?} {}", row.name);
        }
    }
}

#[test]
fn unknown_events_come_after_late_ones() {
    let text = |state| Pair::in_state(state).sse.unknown("x").to_string();
    assert_eq!(text(State::Waiting), "Unrecognized event type 'x' for sse protocol\n");
    assert_eq!(text(State::Streaming), "Unrecognized event type 'x' for sse protocol\n");
    assert_eq!(text(State::Closed), "cannot send 'x' after sse.close\n");
    assert_eq!(text(State::Declined), "cannot send 'x' after sse.http.response.start\n");
}

#[test]
fn the_call_ends_in_every_state() {
    use Ended::*;
    for (state, ok, failed, done) in [
        (State::Waiting, NoResponse, FailedBeforeStart, "refuse 500"),
        (State::Streaming, Complete, FailedAfterStart, "end"),
        (State::Closed, Complete, FailedAfterEnd, ""),
        (State::Declining, Unfinished, FailedBeforeStart, "refuse 500"),
        (State::Declined, Complete, FailedAfterEnd, ""),
        (State::Over, Gone, Gone, ""),
    ] {
        for (is_ok, wanted) in [(true, ok), (false, failed)] {
            let mut pair = Pair::in_state(state);
            assert_eq!(pair.sse.returned(is_ok, &mut pair.log), wanted, "{state:?}");
            assert_eq!((pair.done().as_str(), pair.sse.is_over()), (done, true), "{state:?}");
        }
    }
    let mut pair = open(GET, 0.0);
    pair.ok("sse.close", &[]);
    assert_eq!(pair.sse.returned(true, &mut pair.log), NoResponse, "closed before its start");
}

#[test]
fn ends_that_the_application_did_not_choose() {
    let stop = |pair: &mut Pair| pair.sse.stop(&mut pair.log);
    let idle = |pair: &mut Pair| pair.sse.tick(Timer::Idle, &mut pair.log);
    let refuse = |pair: &mut Pair| {
        pair.sse.refuse(Refusal::BadChunk, &mut pair.log);
    };
    for state in STATES {
        let before = Pair::in_state(state).reason();
        let is_shut = Pair::in_state(state).sse.is_shut();
        let mut pair = Pair::in_state(state);
        stop(&mut pair);
        let streaming = state == State::Streaming;
        assert_eq!(pair.done(), if streaming { "end" } else { "" }, "{state:?}");
        let wanted = if streaming { "server_shutdown".into() } else { before.clone() };
        assert_eq!(pair.reason(), wanted, "{state:?}");

        let mut pair = Pair::in_state(state);
        idle(&mut pair);
        assert_eq!(pair.done().contains("abort idle_timeout"), !is_shut, "{state:?}");
        assert_eq!(pair.sse.own_end(), (!is_shut).then_some(Reason::IdleTimeout));

        let mut pair = Pair::in_state(state);
        refuse(&mut pair);
        let wanted = match state {
            State::Waiting | State::Declining => "refuse 400",
            State::Streaming => "abort protocol_error",
            _ => "",
        };
        assert_eq!(pair.done(), wanted, "{state:?}");
    }
}

#[test]
fn a_stream_that_starts_during_the_shutdown_ends_at_once() {
    let mut pair = open(GET, 0.0);
    pair.sse.stop(&mut pair.log);
    assert!(pair.ok("sse.start", &[]).started);
    assert_eq!(pair.done(), format!("{STARTED}|end"));
    assert_eq!(pair.sse.own_end(), Some(Reason::ServerShutdown));
}

#[test]
fn heads() {
    let mut pair = open(GET, 0.0);
    let given = vec![
        ("X-A", "b"),
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Cache-Control", "no-store"),
        ("Content-Length", "7"),
    ];
    pair.ok("sse.start", &[("headers", Value::Pairs(&given)), ("status", Value::Int(201))]);
    assert_eq!(
        pair.done(),
        "head 201 endless X-A=b Content-Type=text/event-stream; charset=utf-8 \
         Cache-Control=no-store"
    );
    let mut pair = open(HEAD, 0.0);
    pair.ok("sse.start", &[]);
    let head = STARTED.replace(" endless", "");
    assert_eq!(pair.done(), format!("{head}|end"), "HEAD has all with its head");
    assert_eq!(pair.sse.own_end(), Some(Reason::ClientClosed));
}

#[test]
fn a_refused_start_leaves_the_way_open() {
    let mut pair = open(GET, 0.0);
    let bad = vec![("x", "a\r\nb")];
    assert!(pair.send("sse.start", &[("headers", Value::Pairs(&bad))]).is_err());
    let status = pair.send("sse.start", &[("status", Value::Int(100))]);
    let text = "sse.start 'status' must be an integer between 200 and 999 (got 100)\n";
    assert_eq!(status, Err(text.to_owned()));
    let status = pair.send("sse.http.response.start", &[("status", Value::Int(-1))]);
    assert!(status.is_err_and(|text| text.starts_with("sse.http.response.start 'status'")));
    pair.ok("sse.start", &[]);
    assert_eq!(pair.done(), STARTED);
}

#[test]
fn responses_in_the_streams_stead() {
    let decline = |head: &str, status, fields: Vec<(&'static str, &'static str)>, body: &[&str]| {
        let mut pair = open(head, 0.0);
        let start = [("status", Value::Int(status)), ("headers", Value::Pairs(&fields))];
        pair.ok("sse.http.response.start", &start);
        pair.ok("sse.http.response.start", &[("status", Value::Int(500))]);
        for (at, piece) in body.iter().enumerate() {
            let more = Value::Int(i64::from(at + 1 < body.len()));
            let piece = [("body", Value::Bytes(piece.as_bytes())), ("more", more)];
            assert_eq!(pair.ok("sse.http.response.body", &piece).completed, at + 1 == body.len());
        }
        assert!(pair.sse.ends_unheard() && pair.sse.is_complete());
        (pair.done(), pair.sse.tally().bytes)
    };
    let whole = decline(GET, 401, vec![("x-a", "b")], &["un", "authorized"]);
    assert_eq!(whole, ("head 401 x-a=b content-length=12|unauthorized|end".into(), 12));
    let wrong = decline(GET, 404, vec![("Content-Length", "99")], &["no"]);
    assert_eq!(wrong.0, "head 404 Content-Length=2|no|end");
    assert_eq!(decline(GET, 204, vec![], &[""]).0, "head 204|end");
    assert_eq!(decline(HEAD, 404, vec![], &["none"]), ("head 404 content-length=4|end".into(), 0));
    let told = decline(HEAD, 200, vec![("content-length", "9")], &[""]);
    assert_eq!(told.0, "head 200 content-length=9|end");
}

#[test]
fn the_reason_is_the_first_one() {
    let mut pair = Pair::in_state(State::Streaming);
    pair.ok("sse.close", &[("reason", text("job_complete"))]);
    pair.ok("sse.close", &[("reason", text("again"))]);
    assert_eq!(pair.reason(), "job_complete");
    let mut pair = Pair::in_state(State::Streaming);
    pair.sse.gone(Reason::WriteError);
    pair.sse.gone(Reason::ClientClosed);
    assert_eq!(pair.reason(), "write_error");
}

#[test]
fn every_send_and_every_comment_of_the_keepalive_moves_the_idle_timer() {
    let mut pair = open(GET, 1.5);
    assert_eq!(pair.done(), "Idle 1.5");
    for (name, done) in [("sse.keepalive", "Idle 1.5|Keepalive never"), ("sse.send", "Idle 1.5")] {
        assert!(pair.ok(name, &[]).flushed, "{name}");
        assert_eq!(pair.done(), done);
    }
    pair.ok("sse.keepalive", &[("interval", Value::Number(0.5)), ("comment", text("a\nb"))]);
    pair.done();
    pair.sse.tick(Timer::Keepalive, &mut pair.log);
    assert_eq!(pair.done(), "Keepalive 0.5", "nothing is written before the start");
    pair.ok("sse.start", &[]);
    pair.done();
    pair.sse.tick(Timer::Keepalive, &mut pair.log);
    assert_eq!(pair.done(), "Keepalive 0.5|:a\n:b\n\n|Idle 1.5");
    pair.log.is_choked = true;
    pair.sse.tick(Timer::Keepalive, &mut pair.log);
    assert_eq!(pair.done(), "Keepalive 0.5", "nor to a client that does not read");
    assert!(pair.send("sse.send", &[("event", text("a\nb"))]).is_err());
    assert_eq!(pair.done(), "Idle 1.5", "a refused event counts as well");
    pair.sse.tick(Timer::Idle, &mut pair.log);
    let note = "Log(\"SSE idle timeout (1.5s) - closing connection\")";
    assert_eq!(pair.done(), format!("{note}|abort idle_timeout|Idle never|Keepalive never"));
    pair.sse.tick(Timer::Keepalive, &mut pair.log);
    assert_eq!(pair.done(), "");
}

#[test]
fn intervals_have_bounds() {
    let mut pair = Pair::in_state(State::Streaming);
    for (given, wanted) in [(1e-9, "0.01"), (1e300, "31536000"), (-1.0, "never"), (0.0, "never")] {
        pair.ok("sse.keepalive", &[("interval", Value::Number(given))]);
        assert_eq!(pair.done(), format!("Keepalive {wanted}"));
    }
}

#[test]
fn large_events_are_shared() {
    let mut pair = Pair::in_state(State::Streaming);
    let large = "x".repeat(SHARED);
    assert!(pair.ok("sse.send", &[("data", text(&large))]).body);
    assert_eq!(pair.done(), format!("share {}", SHARED + 8));
}

#[test]
fn fullflush_needs_its_extension() {
    let mut pair = Pair::in_state(State::Streaming);
    let flush = (Table::HttpSend, HttpSend::FULL_FLUSH);
    assert!(pair.sse.takes(flush.0, flush.1) && !pair.sse.takes(Table::HttpSend, 0));
    let refused = pair.sse.send(flush, &[], &mut pair.log);
    assert_eq!(refused, Err(SendError::Extension("fullflush")));
    pair.sse.may_fullflush = true;
    assert!(pair.sse.send(flush, &[], &mut pair.log).is_ok_and(|sent| sent.flushed));
}
