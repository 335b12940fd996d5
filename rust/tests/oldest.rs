//! What the oldest Rust that `Cargo.toml` promises does not know, and a newer one lets pass.
//!
//! Debian 13 has Rust 1.85. A machine with a newer compiler cannot notice that it no longer
//! builds there; clippy's `incompatible_msrv` looks at the standard library only.

use crate::source::{self, Source};

/// `if let A = b && c` and `if a && let B = c` came with Rust 1.88.
#[test]
fn a_let_stands_alone_in_its_condition() {
    let manifest = source::read("Cargo.toml");
    assert!(manifest.contains("rust-version = \"1.85\""), "with 1.88 this test can go");
    let directories = ["rust/src", "rust/tests"].iter();
    let files = directories.flat_map(|directory| source::files(directory, &["rs"]));
    let sources = files.map(|path| Source::parse(&path, &source::read(&path)));
    let chains: Vec<_> = sources.flat_map(|source| let_chains(&source)).collect();
    assert!(chains.is_empty(), "needs Rust 1.88:\n{}\n", chains.join("\n"));
}

fn let_chains(source: &Source) -> Vec<String> {
    let conditions = ["if", "while"].iter().flat_map(|word| source.find(word));
    let chains = conditions.filter(|at| {
        let condition = outermost(&source.code[*at..]);
        let has_let = condition.split_whitespace().any(|word| word == "let");
        has_let && (condition.contains("&&") || condition.contains("||"))
    });
    chains.map(|at| source.place(at)).collect()
}

/// A condition up to its block, without what stands in brackets.
fn outermost(code: &str) -> String {
    let mut depth = 0;
    let mut outermost = String::new();
    for c in code.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' | ';' if depth == 0 => break,
            _ if depth == 0 => outermost.push(c),
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    outermost
}

#[test]
fn a_chain_is_found() {
    let at = |text| let_chains(&Source::parse("rust/src/wire/x.rs", text)).len();
    assert_eq!(at("if let Some(a) = b\n    && a > 1 {}"), 1);
    assert_eq!(at("while a && let Some(b) = c {}"), 1);
    assert_eq!(at("if let Some(a) = f(b && c) { if d && e {} }"), 0);
    assert_eq!(at("match a { Some(b) if b && c => {} }"), 0);
}
