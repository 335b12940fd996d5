//! A scripted application, played on the mailbox as `xs/` plays a real one.
//!
//! Each letter is a step of the running call; the script goes on in the next call where the last
//! one left it. `#` stands for the byte behind a letter, a number.
//!
//! | letter | step |
//! |---|---|
//! | `r` `q` | receives, and waits for the event or not |
//! | `s` `l#` `k` `n` `m` `o#` `h` `T` | starts the response: plain, with a length, closing, 204, 304, another status, with fields that belong to the server, with trailers promised |
//! | `b#` `B#` | a piece of the body: # squared or # KiB |
//! | `e#` `E#` | the last piece |
//! | `F##` | a file from an offset, so many KiB of it |
//! | `t` `f` `!#` | trailers, fullflush, an event that must be refused |
//! | `w` `y` `p` | waits for a parked send, lets a turn pass, posts at once |
//! | `.` `x` | returns, fails |
//!
//! Behind the last letter a call answers, if it has not, and returns.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use pagi_server::bridge::Mailbox;
use pagi_server::event::http::HttpReceive;
use pagi_server::event::{self, Receive, Table, Value};
use pagi_server::scope::{Ended, Sent};
use pagi_server::stream::{Arrival, News, Received, Stream};
use pagi_server::wire::Body;

use crate::record::Record;
use crate::run::Calls;

/// The letters, for the bytes that are none.
const LETTERS: &[u8] = b"rqslknmohTbBeEFtf!wyp.x";

/// Bytes of all bodies of a run, so that it stays fast; beyond it pieces are short.
const BUDGET: usize = 1 << 20;

/// Size of the file that is sent.
pub const FILE_SIZE: u64 = 100_000;

/// What the file is full of.
pub const FILE_BYTE: u8 = b'~';

const START: usize = 0;
const BODY: usize = 1;
const TRAILERS: usize = 2;
const FULLFLUSH: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Receive,
    Drain,
}

/// The application.
pub struct App {
    script: Vec<u8>,
    step: usize,
    file: File,
    /// Its calls, in order.
    pub records: Vec<Record>,
    running: bool,
    waits: Option<Wait>,
    receiving: bool,
    parked: bool,
    answered: bool,
    budget: usize,
}

impl Calls for App {
    fn turn(&mut self, mailbox: &Mailbox<Arrival>) -> bool {
        let mut moved = false;
        while let Some(arrival) = mailbox.take() {
            moved = true;
            match arrival {
                Arrival::Opened(stream) => self.open(stream),
                Arrival::News(stream) => self.hear(&stream),
                Arrival::Server(_) => {}
            }
        }
        moved | self.go_on(moved)
    }

    fn is_idle(&self) -> bool {
        !self.running
    }

    fn state(&self) -> String {
        format!("running {} waits {:?} parked {}", self.running, self.waits, self.parked)
    }

    fn records(&self) -> Vec<&Record> {
        self.records.iter().collect()
    }
}

impl App {
    /// An application that follows `script`.
    pub fn new(script: &[u8], file: File) -> App {
        App {
            script: script.to_vec(),
            step: 0,
            file,
            records: Vec::new(),
            running: false,
            waits: None,
            receiving: false,
            parked: false,
            answered: false,
            budget: BUDGET,
        }
    }

    /// Goes on where it can; true if anything happened. `heard` is whether there was any news.
    pub(crate) fn go_on(&mut self, heard: bool) -> bool {
        let moved = self.run();
        if let (true, Some(record)) = (heard || moved, self.records.last()) {
            record.stream.post();
            record.stream.wake_core();
        }
        moved
    }

    /// It is the one that serves this stream.
    pub(crate) fn is_about(&self, stream: &Arc<Stream>) -> bool {
        self.records.last().is_some_and(|last| Arc::ptr_eq(&last.stream, stream))
    }

    pub(crate) fn open(&mut self, stream: Arc<Stream>) {
        assert!(!self.running, "a second call on one connection");
        self.running = true;
        (self.waits, self.receiving, self.parked, self.answered) = (None, false, false, false);
        self.records.push(Record::new(stream));
    }

    /// In the order of `tell_request` of `xs/call.c`.
    pub(crate) fn hear(&mut self, stream: &Arc<Stream>) {
        let news = stream.take_news();
        if !self.running || !self.is_about(stream) {
            return;
        }
        if news & News::GONE != 0 && stream.take_gone().is_some() {
            self.release();
            self.deliver();
        } else if news & News::DRAINED != 0 {
            self.release();
        }
        if news & News::READABLE != 0 {
            self.deliver();
        }
    }

    /// A parked send goes on.
    fn release(&mut self) {
        self.parked = false;
        if self.waits == Some(Wait::Drain) {
            self.waits = None;
        }
    }

    /// A waiting receive goes on, if there is an event.
    fn deliver(&mut self) {
        if self.receiving && self.receive() {
            self.receiving = false;
            if self.waits == Some(Wait::Receive) {
                self.waits = None;
            }
        }
    }

    fn last(&mut self) -> &mut Record {
        self.records.last_mut().expect("a call is running")
    }

    fn receive(&mut self) -> bool {
        let record = self.last();
        record.asked = true;
        let event = match record.stream.receive().0 {
            Received::Pending => return false,
            Received::Event(event) => event,
        };
        // This application speaks http; in any other scope what it sends is refused.
        let Receive::Http(event) = event else { return true };
        match event {
            HttpReceive::Disconnect {} => record.disconnected = true,
            HttpReceive::Request { body, more } => {
                assert!(!record.disconnected, "a body behind the disconnect");
                assert!(!record.had_last, "a body behind the last piece");
                record.received += body.len() as u64;
                record.had_last = !more;
                match record.stream.request.body {
                    Body::None => assert_eq!((body.len(), more), (0, false)),
                    Body::Length(all) => {
                        assert!(record.received <= all, "a body longer than its length");
                        assert!(more || record.received == all, "a body cut short");
                    }
                    Body::Chunked => {}
                }
            }
        }
        true
    }

    /// Goes on until it waits; true if it did anything.
    fn run(&mut self) -> bool {
        let mut moved = false;
        while self.running && self.waits.is_none() {
            moved = true;
            let Some(byte) = self.next() else {
                self.finish();
                continue;
            };
            let letter =
                if LETTERS.contains(&byte) { byte } else { LETTERS[byte as usize % LETTERS.len()] };
            if letter == b'y' {
                break;
            }
            self.act(letter);
        }
        moved
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.script.get(self.step).copied();
        self.step += usize::from(byte.is_some());
        byte
    }

    fn number(&mut self) -> usize {
        let byte = self.next().unwrap_or(b'1');
        usize::from(if byte.is_ascii_digit() { byte - b'0' } else { byte })
    }

    fn act(&mut self, letter: u8) {
        match letter {
            b'r' => {
                self.receiving = !self.receive();
                self.waits = self.receiving.then_some(Wait::Receive);
            }
            b'q' => self.receiving = !self.receive(),
            b's' | b'l' | b'k' | b'n' | b'm' | b'o' | b'h' | b'T' => self.start(letter),
            b'b' | b'B' | b'e' | b'E' => {
                let number = self.number();
                let size =
                    if letter.is_ascii_uppercase() { number * 1024 } else { number * number };
                self.body(size, letter.eq_ignore_ascii_case(&b'b'));
            }
            b'F' => self.file(),
            b't' => self.trailers(),
            b'f' => {
                // Refused where the extension is off, without an effect.
                let _ = self.send(FULLFLUSH, &[]);
            }
            b'!' => self.break_a_rule(),
            b'w' => self.waits = self.parked.then_some(Wait::Drain),
            b'p' => {
                self.last().stream.post();
                self.last().stream.wake_core();
            }
            b'.' => self.end(true),
            _ => self.end(false),
        }
    }

    fn send(&mut self, row: usize, values: &[Value<'_>]) -> Option<Sent> {
        let record = self.last();
        let before = record.stream.buffered();
        let sent = record.stream.send(Some(event::base(Table::HttpSend) + row), "", values).ok()?;
        record.completed |= sent.completed;
        let now = record.stream.buffered();
        // As `pagi_stream_send` has it.
        let full = if sent.file { now } else { before };
        if sent.body && full >= record.stream.marks.high {
            record.stream.arm_drain();
            self.parked = true;
        }
        Some(sent)
    }

    fn start(&mut self, letter: u8) {
        let (mut status, mut declared) = (200, None);
        let mut headers = vec![("x-a", "b")];
        let length;
        match letter {
            b'l' => {
                let number = self.number();
                length = (number * number).to_string();
                declared = Some((number * number) as u64);
                headers.push(("Content-Length", &length));
            }
            b'k' => headers.push(("connection", "close")),
            b'n' => status = 204,
            b'm' => status = 304,
            b'o' => status = 200 + 3 * self.number() as u16,
            b'h' => {
                declared = Some(7);
                headers.extend([
                    ("transfer-encoding", "chunked"),
                    ("content-length", "7"),
                    ("content-length", "8"),
                    ("keep-alive", "timeout=5"),
                    ("date", "yesterday"),
                    ("server", "another"),
                ]);
            }
            _ => {}
        }
        let trailers = Value::Int(i64::from(letter == b'T'));
        let values = [Value::Int(i64::from(status)), Value::Pairs(&headers), trailers];
        if self.send(START, &values).is_some_and(|sent| sent.started) {
            self.last().started = Some((status, declared));
        }
    }

    fn body(&mut self, size: usize, more: bool) {
        let size = if size > self.budget { 1 } else { size };
        self.budget = self.budget.saturating_sub(size);
        let letter = b'a' + (self.records.len() % 26) as u8;
        let piece = vec![letter; size];
        let values = [Value::Bytes(&piece), Value::Int(i64::from(more))];
        if self.send(BODY, &values).is_some_and(|sent| sent.body) {
            self.last().accept(&piece);
        }
    }

    fn file(&mut self) {
        let (offset, most) = (self.number() as u64 * 1000, self.number() as u64 * 1024);
        let Ok(file) = self.file.try_clone() else { return };
        let values = [
            Value::Absent,
            Value::Absent,
            Value::Absent,
            Value::File(file.as_fd()),
            Value::Int(offset as i64),
            Value::Int(most as i64),
        ];
        if self.send(BODY, &values).is_some_and(|sent| sent.body) {
            let size = FILE_SIZE.saturating_sub(offset).min(most);
            self.last().accept(&vec![FILE_BYTE; size as usize]);
        }
    }

    fn trailers(&mut self) {
        let fields = vec![("x-t", "v")];
        let _ = self.send(TRAILERS, &[Value::Pairs(&fields)]);
    }

    fn break_a_rule(&mut self) {
        let split = vec![("x", "a\r\nb: c")];
        let piece = vec![0; 10];
        let (row, values): (usize, &[Value<'_>]) = match self.number() % 5 {
            0 => (START, &[Value::Int(99)]),
            1 => (START, &[Value::Int(200), Value::Pairs(&split)]),
            2 => (TRAILERS, &[Value::Pairs(&split)]),
            3 => (BODY, &[Value::Wide]),
            _ => (BODY, &[Value::Bytes(&piece), Value::Int(0), Value::Bytes(b"/no/such/file")]),
        };
        let sent = self.send(row, values);
        assert!(sent.is_none_or(|sent| sent == Sent::default()), "broken rule accepted");
    }

    /// Behind the script's end: an answer, and the patience to see it leave.
    fn finish(&mut self) {
        if self.parked {
            self.waits = Some(Wait::Drain);
            return;
        }
        if self.last().started.is_none() && !self.answered {
            self.answered = true;
            self.start(b's');
            self.body(2, false);
            return;
        }
        self.end(true);
    }

    fn end(&mut self, ok: bool) {
        let ended = self.last().stream.returned(ok);
        let record = self.last();
        assert_eq!(ended == Ended::Complete, ok && record.completed && ended != Ended::Gone);
        record.ended = Some(ended);
        self.running = false;
    }
}
