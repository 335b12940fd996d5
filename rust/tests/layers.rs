//! The layering of the Architecture page: who may import whom, and what a room may name.

use crate::source::{self, Source};

/// The rooms from left to right: a room may import those of a smaller number.
const ROOMS: &[(&str, u8)] = &[
    ("error", 0),
    ("config", 0),
    ("event", 1),
    ("wire", 1),
    ("bridge", 1),
    ("transport", 1),
    ("scope", 2),
    ("stream", 3),
    ("connection", 4),
    ("server", 5),
    ("ffi", 6),
];

/// Rooms that only compute: `now` is an argument, what they know they are told.
const PURE: &[&str] = &["event", "wire", "scope"];

/// What a pure room must not name: runtimes, clocks, channels, locks, the world outside.
const IMPURE: &[&str] = &[
    "tokio",
    "async",
    "await",
    "Instant::now",
    "SystemTime::now",
    "elapsed",
    "crossbeam_channel",
    "mpsc",
    "Mutex",
    "RwLock",
    "Condvar",
    "OnceLock",
    "LazyLock",
    "thread_local",
    "thread",
    "std::fs",
    "std::process",
    "std::env",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "socket2",
    "rustix",
];

/// What no production code may do: a panic would end a request that an error would only refuse.
const PANICS: &[&str] =
    &[".unwrap()", ".expect(", ".unwrap_err()", ".expect_err(", "todo!", "unimplemented!", "dbg!"];

fn number(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, number)| *number)
}

fn room(source: &Source) -> &str {
    source.module.first().map_or("", String::as_str)
}

/// The complaints of a rule about all files of the core.
fn complaints(rule: impl Fn(&Source) -> Vec<String>) -> String {
    source::all().iter().flat_map(rule).collect::<Vec<_>>().join("\n")
}

fn assert_none(complaints: &str) {
    assert!(complaints.is_empty(), "\n{complaints}\n");
}

#[test]
fn a_room_imports_only_what_lies_left_of_it() {
    assert_none(&complaints(imports));
}

fn imports(source: &Source) -> Vec<String> {
    let own = room(source);
    if own.is_empty() {
        return Vec::new(); // lib.rs is the map: it names all rooms
    }
    let Some(layer) = number(own) else {
        return vec![format!("{}: room `{own}` has no place in ROOMS", source.path)];
    };
    let mut complaints = Vec::new();
    for (at, name) in source.names_of_root() {
        let is_constant = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let is_allowed = match number(&name) {
            Some(other) => name == own || other < layer,
            None => is_constant && !name.is_empty(),
        };
        if !is_allowed {
            complaints.push(format!("{}: `{own}` may not import `{name}`", source.place(at)));
        }
    }
    complaints
}

#[test]
fn pure_rooms_only_compute() {
    assert_none(&complaints(|source| {
        if PURE.contains(&room(source)) { named(source, IMPURE, "is not pure") } else { vec![] }
    }));
}

#[test]
fn nothing_panics_on_purpose() {
    assert_none(&complaints(|source| named(source, PANICS, "may panic")));
}

fn named(source: &Source, words: &[&str], verdict: &str) -> Vec<String> {
    let found =
        words.iter().flat_map(|word| source.find(word).into_iter().map(move |at| (at, word)));
    found.map(|(at, word)| format!("{}: `{word}` {verdict}", source.place(at))).collect()
}

#[test]
fn unsafe_code_lives_at_the_boundary() {
    assert_none(&complaints(|source| {
        if room(source) == "ffi" { vec![] } else { named(source, &["unsafe"], "belongs in ffi") }
    }));
}

#[test]
fn an_allowance_has_a_reason() {
    assert_none(&complaints(allowances));
}

fn allowances(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for at in ["allow", "expect"].iter().flat_map(|word| source.find(word)) {
        let is_attribute = source.code[..at].ends_with(['[', ',', ' '])
            && source.code[..at].trim_end().ends_with(['[', ','])
            && source.code[at..].split_once('(').is_some_and(|(word, _)| word.len() < 7);
        let list = source.code[at..].split(')').next().unwrap_or("");
        if !is_attribute {
            continue;
        }
        if !list.contains("reason") {
            complaints.push(format!("{}: an allowance without a reason", source.place(at)));
        }
        if list.contains("unsafe_code") && source.path != "rust/src/lib.rs" {
            complaints.push(format!("{}: only lib.rs lets ffi be unsafe", source.place(at)));
        }
    }
    complaints
}

#[test]
fn a_connection_names_no_event() {
    assert_none(&complaints(|source| {
        if room(source) != "connection" {
            return Vec::new();
        }
        let is_event = |text: &str| pagi_server::event::rows().any(|row| row.name == text);
        let strings = source.strings.iter().filter(|(_, text)| is_event(text));
        let imports = source.names_of_root().into_iter().filter(|(_, name)| name == "event");
        let places = strings.map(|(at, _)| *at).chain(imports.map(|(at, _)| at));
        places.map(|at| format!("{}: an event in a connection", source.place(at))).collect()
    }));
}

#[test]
fn a_scope_names_no_protocol() {
    assert_none(&complaints(
        |source| if room(source) == "scope" { protocols(source) } else { vec![] },
    ));
}

fn protocols(source: &Source) -> Vec<String> {
    let is_protocol = |word: &str| {
        let word = word.to_ascii_lowercase().replace('_', "");
        ["h1", "h2", "h3", "h2c", "http1", "http2", "http3", "http10", "http11"]
            .contains(&word.as_str())
    };
    let says_protocol = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["http/1", "http/2", "http/3", "h2c"].iter().any(|name| text.contains(name))
    };
    let words = source.words().into_iter().filter(|(_, word)| is_protocol(word)).map(|(at, _)| at);
    let strings = source.strings.iter().filter(|(_, text)| says_protocol(text)).map(|(at, _)| *at);
    let places = words.chain(strings);
    places.map(|at| format!("{}: a protocol in a scope", source.place(at))).collect()
}

/// The rules themselves: what they must find.
mod proof {
    use super::*;

    fn at(path: &str, text: &str) -> Source {
        Source::parse(&format!("rust/src/{path}"), text)
    }

    #[test]
    fn a_wrong_import_is_found() {
        assert_eq!(imports(&at("event/x.rs", "\nuse crate::wire::Head;")).len(), 1, "sibling");
        assert_eq!(imports(&at("scope/x.rs", "fn f() { crate::stream::g() }")).len(), 1, "right");
        assert_eq!(imports(&at("wire/x.rs", "use crate::*;")).len(), 1, "everything");
        assert_eq!(imports(&at("wire/x.rs", "use super::super::server;")).len(), 1, "by super");
        assert_eq!(imports(&at("cellar/x.rs", "")).len(), 1, "a room without a place");
        assert!(imports(&at("server/x.rs", "use crate::{VERSION, wire, error::E};")).is_empty());
    }

    #[test]
    fn an_allowance_is_found() {
        assert_eq!(allowances(&at("wire/x.rs", "#[allow(dead_code)]")).len(), 1);
        assert_eq!(allowances(&at("wire/x.rs", "#![expect(unused)]")).len(), 1);
        assert_eq!(allowances(&at("wire/x.rs", "#[cfg_attr(x, allow(unused))]")).len(), 1);
        let unsafe_code = r#"#[allow(unsafe_code, reason = "speed")]"#;
        assert_eq!(allowances(&at("wire/x.rs", unsafe_code)).len(), 1);
        assert!(allowances(&at("wire/x.rs", r#"#[allow(unused, reason = "so")]"#)).is_empty());
    }

    #[test]
    fn a_protocol_is_found() {
        let text = "match version { Version::Http11 => h1::f(\"HTTP/1.1\"), _ => HTTP_2 }";
        assert_eq!(protocols(&at("scope/x.rs", text)).len(), 4);
    }
}
