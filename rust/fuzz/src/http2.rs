//! A connection of HTTP/2 from its first byte to its last: [`crate::run`] with many streams.
//!
//! The input is two lines of script and what the client writes, in the letters of
//! [`crate::frames`]. Each stream has an application of its own; the second line is divided among
//! them by `|`, and begins again where it ends.

use std::collections::HashMap;
use std::fs::File;

use pagi_server::bridge::Mailbox;
use pagi_server::stream::Arrival;

use crate::app::App;
use crate::frames::{self, Frame, PREFACE};
use crate::record::Record;
use crate::run::{self, Calls, World};

/// Windows before anybody opens them.
const WINDOW: u64 = 65_535;

/// Runs one input.
pub fn check(data: &[u8]) {
    run::with_runtime(data, |[client, app, script], file| {
        let bytes = frames::bytes(script);
        let world = World::new(client, &bytes, Many::new(app, file), true);
        (world, move |end: run::End<'_, Many>| verify(&bytes, end.received, &end.calls.apps))
    });
}

/// An application for each stream.
pub struct Many {
    scripts: Vec<Vec<u8>>,
    file: File,
    apps: Vec<App>,
}

impl Many {
    fn new(script: &[u8], file: File) -> Many {
        let scripts = script.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect();
        Many { scripts, file, apps: Vec::new() }
    }
}

impl Calls for Many {
    fn turn(&mut self, mailbox: &Mailbox<Arrival>) -> bool {
        let mut moved = false;
        while let Some(arrival) = mailbox.take() {
            moved = true;
            match arrival {
                Arrival::Opened(stream) => {
                    let script = &self.scripts[self.apps.len() % self.scripts.len()];
                    let file = self.file.try_clone().expect("a descriptor");
                    let mut app = App::new(script, file);
                    app.open(stream);
                    self.apps.push(app);
                }
                Arrival::News(stream) => {
                    let mine = self.apps.iter_mut().find(|app| app.is_about(&stream));
                    if let Some(app) = mine {
                        app.hear(&stream);
                    }
                }
                Arrival::Server(_) => {}
            }
        }
        for app in &mut self.apps {
            moved |= app.go_on(moved);
        }
        moved
    }

    fn is_idle(&self) -> bool {
        self.apps.iter().all(App::is_idle)
    }

    fn state(&self) -> String {
        self.apps.iter().map(|app| app.state() + "; ").collect()
    }

    fn records(&self) -> Vec<&Record> {
        self.apps.iter().flat_map(|app| &app.records).collect()
    }
}

/// What came on one stream.
#[derive(Default)]
struct Seen {
    has_head: bool,
    has_ended: bool,
    was_reset: bool,
    data: Vec<u8>,
    sent: u64,
}

/// What the server wrote must be frames in order, within the windows, and the bodies those of the
/// application.
fn verify(written: &[u8], received: &[u8], apps: &[App]) {
    let granted = Granted::new(written);
    let mut streams: HashMap<u32, Seen> = HashMap::new();
    let mut all = 0;
    for (n, frame) in frames::read(received).iter().enumerate() {
        assert_eq!(frame.kind == 4 && frame.flags == 0, n == 0, "SETTINGS come first, and once");
        assert!(frame.payload.len() <= granted.frame, "a frame that is too large");
        if frame.id == 0 {
            assert!(matches!(frame.kind, 4 | 6 | 7 | 8), "kind {} on stream 0", frame.kind);
            continue;
        }
        let seen = streams.entry(frame.id).or_default();
        all += take(seen, frame);
        let most = granted.initial + granted.streams.get(&frame.id).copied().unwrap_or_default();
        assert!(seen.sent <= most, "stream {} sent more than its window", frame.id);
        assert!(all <= granted.all, "more than the window of the connection");
    }
    for record in apps.iter().flat_map(|app| &app.records) {
        let Some(seen) = streams.get(&record.stream.id) else { continue };
        if record.started.is_none() || record.is_bodyless() {
            continue;
        }
        assert!(record.body.starts_with(&seen.data), "another body than the application sent");
        if seen.has_ended && !seen.was_reset && record.completed {
            assert_eq!(record.body.len(), seen.data.len(), "a body cut short");
        }
    }
}

/// Checks a frame against those before it; returns how much of the windows it took.
fn take(seen: &mut Seen, frame: &Frame<'_>) -> u64 {
    match frame.kind {
        0 => {
            assert!(seen.has_head && !seen.has_ended && !seen.was_reset, "DATA out of place");
            seen.data.extend_from_slice(frame.payload);
            seen.has_ended = frame.flags & 1 != 0;
            seen.sent += frame.payload.len() as u64;
            return frame.payload.len() as u64;
        }
        1 => {
            assert!(!seen.has_ended && !seen.was_reset, "HEADERS out of place");
            assert!(!seen.has_head || frame.flags & 1 != 0, "trailers that do not end");
            seen.has_head = true;
            seen.has_ended = frame.flags & 1 != 0;
        }
        3 => {
            assert_eq!(frame.payload.len(), 4, "RST_STREAM");
            seen.was_reset = true;
        }
        8 | 9 => {}
        kind => panic!("kind {kind} on a stream"),
    }
    0
}

/// The most that a client ever allowed.
struct Granted {
    frame: usize,
    initial: u64,
    all: u64,
    streams: HashMap<u32, u64>,
}

impl Granted {
    fn new(written: &[u8]) -> Granted {
        let mut granted =
            Granted { frame: 16_384, initial: WINDOW, all: WINDOW, streams: HashMap::new() };
        for frame in frames::read(&written[PREFACE.len()..]) {
            match (frame.kind, frame.payload) {
                (4, settings) => settings.chunks_exact(6).for_each(|one| {
                    let value = u32::from_be_bytes([one[2], one[3], one[4], one[5]]);
                    match one[1] {
                        4 => granted.initial = granted.initial.max(value.into()),
                        5 => granted.frame = granted.frame.max(value as usize),
                        _ => {}
                    }
                }),
                (8, [a, b, c, d]) => {
                    let by = u64::from(u32::from_be_bytes([*a, *b, *c, *d]) & 0x7fff_ffff);
                    match frame.id {
                        0 => granted.all += by,
                        id => *granted.streams.entry(id).or_default() += by,
                    }
                }
                _ => {}
            }
        }
        granted
    }
}
