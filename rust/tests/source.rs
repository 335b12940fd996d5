//! Rust source as the gates read it: code without comments, strings and tests.
//!
//! A scanner, not a parser: it knows literals, comments, braces and `#[cfg(test)]`, which is all
//! that the rules need. What it removes becomes blanks, so that lines keep their numbers.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One file of `rust/src`.
pub struct Source {
    /// From the repository's root.
    pub path: String,
    /// Its modules from the crate's root: `wire/h1/request.rs` is `["wire", "h1", "request"]`.
    pub module: Vec<String>,
    /// What is compiled into the core.
    pub code: String,
    /// The string literals of that code, each with the byte where it begins.
    pub strings: Vec<(usize, String)>,
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every production file of `rust/src`.
pub fn all() -> Vec<Source> {
    let sources = files("rust/src", &["rs"]).into_iter().filter(|path| !is_test_file(path));
    sources.map(|path| Source::parse(&path, &read(&path))).collect()
}

/// The files below `directory` with one of these extensions, sorted.
pub fn files(directory: &str, extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    walk(&root().join(directory), &mut |path| {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        if extensions.contains(&extension) {
            let relative = path.strip_prefix(root()).unwrap();
            found.push(relative.to_str().unwrap().replace('\\', "/"));
        }
    });
    found.sort();
    found
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Unit tests that have a file of their own are called `tests.rs` or `*_tests.rs`.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    let entries = fs::read_dir(directory).unwrap_or_else(|e| panic!("{directory:?}: {e}"));
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

impl Source {
    /// Scans a text as if it were the file at `path`.
    pub fn parse(path: &str, text: &str) -> Source {
        let (mut code, strings) = without_literals(text);
        for tests in test_items(&code) {
            blank(&mut code, tests);
        }
        let code = String::from_utf8(code).unwrap();
        let in_code = |at: usize| code.as_bytes()[at] == b'"';
        let strings = strings.into_iter().filter(|(at, _)| in_code(*at)).collect();
        Source { path: path.to_owned(), module: module_of(path), code, strings }
    }

    /// `path:line` of a byte.
    pub fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, 1 + self.code[..at].matches('\n').count())
    }

    /// Where a path or word stands as a token, not as a part of another one.
    pub fn find(&self, word: &str) -> Vec<usize> {
        let code = self.code.as_bytes();
        let is_whole = |at: usize| {
            let end = at + word.len();
            let opens = !is_word(word.as_bytes()[0]) || at == 0 || !is_word(code[at - 1]);
            let closes = !is_word(code[end - 1]) || end == code.len() || !is_word(code[end]);
            opens && closes
        };
        self.code.match_indices(word).map(|(at, _)| at).filter(|at| is_whole(*at)).collect()
    }

    /// The identifiers and keywords, each with the byte where it begins.
    pub fn words(&self) -> Vec<(usize, &str)> {
        let mut words = Vec::new();
        let mut at = 0;
        for word in self.code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if !word.is_empty() {
                words.push((at, word));
            }
            at += word.len() + 1;
        }
        words
    }

    /// What the file names of the crate's root: the byte of the path, and the first name in it.
    pub fn names_of_root(&self) -> Vec<(usize, String)> {
        let mut names = Vec::new();
        for at in self.find("crate") {
            if let Some(rest) = self.code[at..].strip_prefix("crate::") {
                names.extend(first_names(rest).into_iter().map(|name| (at, name)));
            }
        }
        let supers = self.find("super");
        for &at in supers.iter().filter(|&&at| !self.code[..at].ends_with("super::")) {
            let rest = self.code[at..].trim_start_matches("super::");
            let climbed = (self.code.len() - at - rest.len()) / "super::".len();
            if climbed >= self.module.len() + self.inline_modules(at) {
                names.extend(first_names(rest).into_iter().map(|name| (at, name)));
            }
        }
        names
    }

    /// How many `mod name { ... }` of this file a byte lies in.
    fn inline_modules(&self, at: usize) -> usize {
        let bodies = self.find("mod").into_iter().filter_map(|start| {
            let body = start + self.code[start..].find(['{', ';'])?;
            self.code[body..].starts_with('{').then(|| body..closing(self.code.as_bytes(), body))
        });
        bodies.filter(|body| body.contains(&at)).count()
    }
}

fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("rust/src/").trim_end_matches(".rs");
    let names = inner.split('/').filter(|name| !matches!(*name, "mod" | "lib"));
    names.map(str::to_owned).collect()
}

/// The first names of a path, or of each path in the braces of a `use`.
fn first_names(path: &str) -> Vec<String> {
    let name = |part: &str| -> String {
        part.trim_start().chars().take_while(|c| is_word(*c as u8) || *c == '*').collect()
    };
    if !path.starts_with('{') {
        return vec![name(path)];
    }
    let (mut depth, mut starts) = (0, Vec::new());
    for (at, c) in path.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match (depth, c) {
            (0, _) => break,
            (1, '{' | ',') => starts.push(at + 1),
            _ => {}
        }
    }
    starts.into_iter().map(|at| name(&path[at..])).filter(|name| !name.is_empty()).collect()
}

/// The text with comments and the insides of literals blanked, and its strings.
fn without_literals(text: &str) -> (Vec<u8>, Vec<(usize, String)>) {
    let mut code = text.as_bytes().to_vec();
    let mut strings = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let end = at + literal(rest, at > 0 && is_word(text.as_bytes()[at - 1]));
        if end == at {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let inside = if let Some(open) = rest[..end - at].find('"').filter(|_| is_string(rest)) {
            let hashes = rest[..open].matches('#').count();
            strings.push((at + open, text[at + open + 1..end - 1 - hashes].to_owned()));
            at + open + 1..end - 1 - hashes
        } else {
            at..end
        };
        blank(&mut code, inside);
        at = end;
    }
    (code, strings)
}

fn is_string(literal: &str) -> bool {
    !literal.starts_with('/') && !literal.starts_with('\'')
}

/// The length of the comment or literal that a text begins with, 0 for none.
fn literal(text: &str, within_word: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    if text.starts_with('\'') {
        let mut after = text.chars().skip(1);
        let escaped = after.next() == Some('\\');
        return if escaped || after.next() == Some('\'') { quoted(text, '\'') } else { 0 };
    }
    if within_word { 0 } else { raw_string(text) }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    for at in 0..text.len() {
        match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => depth += 1,
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

fn raw_string(text: &str) -> usize {
    let after = text.trim_start_matches(['b', 'c']);
    let Some(raw) = after.strip_prefix('r') else { return 0 };
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    if text.len() - after.len() > 1 || !raw[hashes..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = text.len() - raw.len() + hashes + 1;
    text[body..].find(&close).map_or(text.len(), |at| body + at + close.len())
}

/// The items under `#[cfg(test)]`, attribute and all.
fn test_items(code: &[u8]) -> Vec<Range<usize>> {
    let mark = b"#[cfg(test)]";
    let starts = (0..code.len()).filter(|at| code[*at..].starts_with(mark));
    starts.map(|start| start..item_end(code, start + mark.len())).collect()
}

fn item_end(code: &[u8], from: usize) -> usize {
    for at in from..code.len() {
        match code[at] {
            b';' => return at + 1,
            b'{' => return closing(code, at),
            _ => {}
        }
    }
    code.len()
}

/// Past the brace that closes the one at `open`.
fn closing(code: &[u8], open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

fn blank(code: &mut [u8], range: Range<usize>) {
    code[range].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[test]
fn comments_literals_and_tests_are_not_code() {
    let source = Source::parse(
        "rust/src/event/x.rs",
        "// tokio\nlet a = \"tokio\\\"\"; /* tokio /* tokio */ tokio */ let b = r#\"to\"kio\"#;\n\
         let c = ('\"', '\\'', 'x'); fn f<'a>(x: &'a str) {}\n\
         #[cfg(test)]\nmod tests { fn t() { x.unwrap() } }\nlet d = b\"end\";\n",
    );
    assert!(source.find("tokio").is_empty(), "{}", source.code);
    assert!(source.find("unwrap").is_empty(), "{}", source.code);
    let strings: Vec<_> = source.strings.iter().map(|(_, s)| s.as_str()).collect();
    assert_eq!(strings, ["tokio\\\"", "to\"kio", "end"]);
    assert_eq!(source.place(source.find("let d")[0]), "rust/src/event/x.rs:6");
}

#[test]
fn every_way_to_name_a_room_is_seen() {
    let source = Source::parse(
        "rust/src/wire/h1/x.rs",
        "use crate::error::Reason;\nuse crate::{config, stream::{Inbox, Outbox}, ffi};\n\
         fn f() { crate::server::stop(); super::super::super::event::rows(); super::super::y() }\n\
         mod inner { use super::super::super::z; }\n macro_rules! m { () => { $crate::scope::X } }",
    );
    let names: Vec<_> = source.names_of_root().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["error", "config", "stream", "ffi", "server", "scope", "event"]);
}
