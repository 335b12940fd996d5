//! Distinguished names as text, and certificates as PEM.

use std::fmt::Write;

use super::der::{Element, Elements, tag};

/// The attribute types that have a short name; all others are written as numbers.
//= RFC 4514 3
const SHORT: &[(&str, &[u8])] = &[
    ("CN", &[0x55, 4, 3]),
    ("L", &[0x55, 4, 7]),
    ("ST", &[0x55, 4, 8]),
    ("O", &[0x55, 4, 10]),
    ("OU", &[0x55, 4, 11]),
    ("C", &[0x55, 4, 6]),
    ("STREET", &[0x55, 4, 9]),
    ("DC", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25]),
    ("UID", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1]),
];

/// A name as text, from its encoding; none where it is malformed.
//= RFC 4514 2
pub fn text(name: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    for set in Elements(Elements(name).tagged(tag::SEQUENCE)?.content) {
        let pairs: Option<Vec<String>> = Elements(set.content).map(attribute).collect();
        parts.push(pairs.filter(|_| set.tag == tag::SET)?.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(pair: Element<'_>) -> Option<String> {
    let mut fields = Elements(pair.content);
    let kind = fields.tagged(tag::OID)?.content;
    let value = fields.next()?;
    let short = SHORT.iter().find(|(_, oid)| *oid == kind).map(|(name, _)| *name);
    Some(match (short, string(value)) {
        (Some(name), Some(text)) => format!("{name}={}", escaped(&text)),
        (Some(name), None) => format!("{name}=#{}", hex(value.whole)),
        (None, _) => format!("{}=#{}", dotted(kind), hex(value.whole)),
    })
}

/// The characters of a string type.
fn string(value: Element<'_>) -> Option<String> {
    let bytes = value.content;
    match value.tag {
        0x0c => std::str::from_utf8(bytes).ok().map(str::to_owned),
        0x12 | 0x13 | 0x16 | 0x1a => {
            bytes.is_ascii().then(|| String::from_utf8_lossy(bytes).into_owned())
        }
        // Teletex: Latin 1 wherever it is met.
        0x14 => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        0x1e if bytes.len() % 2 == 0 => {
            let units: Vec<_> =
                bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        0x1c if bytes.len() % 4 == 0 => {
            let points =
                bytes.chunks(4).map(|four| four.iter().fold(0, |n, b| n << 8 | u32::from(*b)));
            points.map(char::from_u32).collect()
        }
        _ => None,
    }
}

//= RFC 4514 2.4
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate() {
        match c {
            '\0' => out.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', c]),
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            c => out.push(c),
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}"); // a String takes everything
        out
    })
}

/// An object identifier in numbers.
fn dotted(oid: &[u8]) -> String {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for byte in oid {
        number = number.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first);
                number -= first * 40;
            }
            numbers.push(std::mem::take(&mut number));
        }
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

/// A certificate in PEM.
//= RFC 7468 5
pub fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    // 48 bytes are the 64 columns of a line.
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
            let group = byte(0) << 16 | byte(1) << 8 | byte(2);
            for at in 0..4 {
                let digit = DIGITS[(group >> (18 - 6 * at)) as usize & 63];
                out.push(if at > three.len() { '=' } else { char::from(digit) });
            }
        }
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, content.len() as u8], content].concat()
    }

    fn pair(oid: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        der(0x30, &[der(0x06, oid), der(tag, value)].concat())
    }

    fn name(sets: &[&[Vec<u8>]]) -> Option<String> {
        let sets: Vec<u8> = sets.iter().flat_map(|set| der(0x31, &set.concat())).collect();
        text(&der(0x30, &sets))
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const C: &[u8] = &[0x55, 4, 6];

    #[test]
    fn parts_come_in_reverse_and_joined_ones_with_a_plus() {
        let country = [pair(C, 0x13, b"DE")];
        let both = [pair(CN, 0x0c, "Zoë".as_bytes()), pair(&[0x55, 4, 10], 0x13, b"X")];
        assert_eq!(name(&[&country, &both]).as_deref(), Some("CN=Zoë+O=X,C=DE"));
        assert_eq!(name(&[]).as_deref(), Some(""));
    }

    #[test]
    fn special_characters_are_escaped() {
        let cn = |value: &[u8]| name(&[&[pair(CN, 0x0c, value)]]).unwrap_or_default();
        assert_eq!(cn(b"a,b+c\"d\\e<f>g;h"), "CN=a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h");
        assert_eq!(cn(b" # "), "CN=\\ #\\ ");
        assert_eq!(cn(b"#1"), "CN=\\#1");
        assert_eq!(cn(b"a\0b=/"), "CN=a\\00b=/");
    }

    #[test]
    fn what_has_no_short_name_is_written_in_numbers() {
        let email = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
        let expected = "1.2.840.113549.1.9.1=#1603614062";
        assert_eq!(name(&[&[pair(&email, 0x16, b"a@b")]]).as_deref(), Some(expected));
        assert_eq!(name(&[&[pair(CN, 0x0c, b"\xff")]]).as_deref(), Some("CN=#0c01ff"));
        assert_eq!(dotted(&[0x88, 0x37]), "2.999");
    }

    #[test]
    fn other_encodings_of_text_are_read() {
        assert_eq!(name(&[&[pair(CN, 0x1e, b"\0A\0B")]]).as_deref(), Some("CN=AB"));
        assert_eq!(name(&[&[pair(CN, 0x14, b"\xe9")]]).as_deref(), Some("CN=é"));
        assert_eq!(text(b"\x30\x02\x31"), None);
        assert_eq!(text(b"junk"), None);
    }

    #[test]
    fn pem_has_lines_of_64_columns() {
        let lines: Vec<_> = pem(&[0; 49]).lines().map(str::to_owned).collect();
        assert_eq!(lines[1], "A".repeat(64));
        assert_eq!(lines[2], "AA==");
        assert!(pem(b"abc").ends_with("\nYWJj\n-----END CERTIFICATE-----\n"));
    }
}
