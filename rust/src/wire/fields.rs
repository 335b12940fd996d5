//! Field lines as spans over one buffer: a head costs two allocations, however many fields.

use crate::error::HeaderFault;

/// Where a name or a value lies in its buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The span of `part`, a slice of `whole`.
    pub fn of(part: &[u8], whole: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        debug_assert!(part.is_empty() || start + part.len() <= whole.len());
        if part.is_empty() {
            return Span::default();
        }
        Span { start: start as u32, len: part.len() as u32 }
    }

    /// The bytes it names in `whole`.
    pub fn in_bytes(self, whole: &[u8]) -> &[u8] {
        &whole[self.start as usize..(self.start + self.len) as usize]
    }
}

/// A list of field lines.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// The buffer that the spans point into.
    pub bytes: Vec<u8>,
    /// Name and value of each line, in wire order.
    pub spans: Vec<(Span, Span)>,
}

impl Fields {
    /// Appends a line.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name = self.append(name);
        let value = self.append(value);
        self.spans.push((name, value));
    }

    /// Puts bytes into the buffer, to be named by a span.
    pub fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span { start, len: bytes.len() as u32 }
    }

    /// The lines as byte slices.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.spans.iter().map(|(n, v)| (n.in_bytes(&self.bytes), v.in_bytes(&self.bytes)))
    }

    /// The first value of a field, its name given in lower case.
    pub fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
}

/// `tchar` of RFC 9110 5.6.2.
pub fn is_tchar(byte: u8) -> bool {
    TCHAR[byte as usize]
}

static TCHAR: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

/// Checks that a response field can go on the wire as it stands.
//= PAGI::Spec::Www "Header byte safety"
//= RFC 9110 5.1, 5.5
pub fn check(name: &[u8], value: &[u8]) -> Result<(), HeaderFault> {
    if name.is_empty() || !name.iter().all(|b| is_tchar(*b)) {
        return Err(name_fault(name));
    }
    if value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return Err(HeaderFault::ValueBreaksLine);
    }
    Ok(())
}

fn name_fault(name: &[u8]) -> HeaderFault {
    if name.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        HeaderFault::NameBreaksLine
    } else if name.iter().any(u8::is_ascii_control) {
        HeaderFault::NameControl
    } else {
        HeaderFault::NameNotToken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_byte_safety() {
        let fault = |name: &str, value: &str| check(name.as_bytes(), value.as_bytes()).err();
        assert_eq!(fault("x-a", "tab\there \u{e9}"), None);
        assert_eq!(fault("x\r\n", "v"), Some(HeaderFault::NameBreaksLine));
        assert_eq!(fault("x\0", "v"), Some(HeaderFault::NameBreaksLine));
        assert_eq!(fault("x\u{1}", "v"), Some(HeaderFault::NameControl));
        assert_eq!(fault("x a", "v"), Some(HeaderFault::NameNotToken));
        assert_eq!(fault("", "v"), Some(HeaderFault::NameNotToken));
        assert_eq!(fault("x", "a\nb"), Some(HeaderFault::ValueBreaksLine));
    }

    #[test]
    fn spans_survive_growth_of_the_buffer() {
        let mut fields = Fields::default();
        for n in 0..100 {
            fields.push(format!("x-{n}").as_bytes(), format!("{n}").as_bytes());
        }
        assert_eq!(fields.first(b"x-42"), Some(&b"42"[..]));
        assert_eq!(fields.first(b"x-100"), None);
    }
}
