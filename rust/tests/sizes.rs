//! The size of a file: what grows beyond it is two rooms.

use crate::source::{files, is_test_file, read};

/// Lines of production code that a file may have.
const MOST_LINES: usize = 400;

#[test]
fn no_file_outgrows_its_room() {
    let mut all = files("rust/src", &["rs"]);
    all.retain(|path| !is_test_file(path));
    all.push("rust/build.rs".to_owned());
    all.extend(files("xs", &["c", "h", "xs"]));
    all.extend(files("lib", &["pm"]));
    all.push("bin/pagi-server".to_owned());
    let sized = all.iter().map(|path| (path, production_lines(path, &read(path))));
    let too_long: Vec<_> = sized.filter(|(_, lines)| *lines > MOST_LINES).collect();
    assert!(too_long.is_empty(), "more than {MOST_LINES} lines: {too_long:?}");
}

fn production_lines(path: &str, text: &str) -> usize {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "rs" => rust_lines(text),
        "c" | "h" | "xs" => text.lines().count(),
        _ => perl_lines(text),
    }
}

/// Up to the tests at the end.
fn rust_lines(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

/// Up to the end of the code, without the manual.
fn perl_lines(text: &str) -> usize {
    let mut in_pod = false;
    let mut count = 0;
    for line in text.lines().take_while(|line| *line != "__END__") {
        let is_command = line.starts_with('=') && line[1..].starts_with(char::is_alphabetic);
        in_pod = (in_pod || is_command) && !line.starts_with("=cut");
        count += usize::from(!in_pod && !is_command);
    }
    count
}

#[test]
fn tests_and_manuals_do_not_count() {
    assert_eq!(production_lines("a.rs", "one\ntwo\n\n#[cfg(test)]\nmod tests {\n}\n"), 3);
    assert_eq!(production_lines("a.pm", "one\n\n=head1 A\n\nb\n\n=cut\n\ntwo\n1;\n"), 5);
    assert_eq!(production_lines("a.pm", "one\n__END__\n\n=head1 A\n"), 1);
}
