//! As much of DER and X.509 as a certificate's names, dates and key need.

/// Tags of the types that are met here.
pub mod tag {
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    pub const VERSION: u8 = 0xa0;
    pub const EXTENSIONS: u8 = 0xa3;
    pub const DNS_NAME: u8 = 0x82;
}

/// One element: its tag, its content, and both with the length as they were encoded.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub whole: &'a [u8],
}

/// Reads one element after the other; ends at the first that is none.
pub struct Elements<'a>(pub &'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let input = self.0;
        let (tag, first) = (*input.first()?, usize::from(*input.get(1)?));
        let (len, start) = match first {
            0..=0x7f => (first, 2),
            0x81..=0x84 => {
                let start = 2 + (first & 0x7f);
                let bytes = input.get(2..start)?;
                (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), start)
            }
            _ => return None,
        };
        let end = start.checked_add(len)?;
        let content = input.get(start..end)?;
        self.0 = &input[end..];
        Some(Element { tag, content, whole: &input[..end] })
    }
}

impl<'a> Elements<'a> {
    /// The next element, if it has this tag.
    pub fn tagged(&mut self, tag: u8) -> Option<Element<'a>> {
        let rest = self.0;
        let element = self.next().filter(|element| element.tag == tag);
        if element.is_none() {
            self.0 = rest;
        }
        element
    }
}

/// The fields of a certificate that the server looks at itself.
pub struct Certificate<'a> {
    /// What is signed.
    pub signed: &'a [u8],
    /// 0 for version 1, as it is encoded.
    pub version: u8,
    pub issuer: &'a [u8],
    pub not_before: Element<'a>,
    pub not_after: Element<'a>,
    pub subject: &'a [u8],
    pub key: Key<'a>,
    /// What names the signature's algorithm, without its header.
    pub algorithm: &'a [u8],
    pub signature: &'a [u8],
    extensions: &'a [u8],
}

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// The algorithm's identifier, without its header.
    pub algorithm: &'a [u8],
    /// The key itself.
    pub bits: &'a [u8],
}

impl<'a> Key<'a> {
    /// Reads a SubjectPublicKeyInfo.
    pub fn parse(der: &'a [u8]) -> Option<Key<'a>> {
        let mut fields = Elements(Elements(der).tagged(tag::SEQUENCE)?.content);
        let algorithm = fields.tagged(tag::SEQUENCE)?.content;
        Some(Key { algorithm, bits: bits(fields.tagged(tag::BIT_STRING)?)? })
    }
}

/// A bit string of whole bytes.
fn bits(element: Element<'_>) -> Option<&[u8]> {
    element.content.strip_prefix(&[0])
}

impl<'a> Certificate<'a> {
    /// Reads a certificate.
    //= RFC 5280 4.1
    pub fn parse(der: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = Elements(Elements(der).tagged(tag::SEQUENCE)?.content);
        let signed = outer.tagged(tag::SEQUENCE)?;
        let algorithm = outer.tagged(tag::SEQUENCE)?.content;
        let signature = bits(outer.tagged(tag::BIT_STRING)?)?;
        let mut fields = Elements(signed.content);
        let version = fields.tagged(tag::VERSION).and_then(|v| v.content.last().copied());
        let (_serial, _algorithm) = (fields.next()?, fields.next()?);
        let issuer = fields.tagged(tag::SEQUENCE)?.whole;
        let mut validity = Elements(fields.tagged(tag::SEQUENCE)?.content);
        let (not_before, not_after) = (validity.next()?, validity.next()?);
        let subject = fields.tagged(tag::SEQUENCE)?.whole;
        let key = Key::parse(fields.tagged(tag::SEQUENCE)?.whole)?;
        let extensions = fields.find(|field| field.tag == tag::EXTENSIONS);
        Some(Certificate {
            signed: signed.whole,
            version: version.unwrap_or(0),
            issuer,
            not_before,
            not_after,
            subject,
            key,
            algorithm,
            signature,
            extensions: extensions.map_or(&[], |field| field.content),
        })
    }

    /// The host names that it is for, in lower case.
    //= RFC 5280 4.2.1.6
    pub fn dns_names(&self) -> Vec<String> {
        const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
        let list = Elements(self.extensions).next().map_or(&[][..], |list| list.content);
        let value = Elements(list).find_map(|extension| {
            let mut fields = Elements(extension.content);
            fields.tagged(tag::OID).filter(|oid| oid.content == SUBJECT_ALT_NAME)?;
            fields.find(|field| field.tag == tag::OCTET_STRING)
        });
        let names = value.and_then(|value| Elements(value.content).tagged(tag::SEQUENCE));
        let names = Elements(names.map_or(&[], |names| names.content));
        let names = names.filter(|name| name.tag == tag::DNS_NAME);
        names.map(|name| String::from_utf8_lossy(name.content).to_ascii_lowercase()).collect()
    }
}

/// Seconds since 1970 of a UTCTime or GeneralizedTime; none where it is neither.
//= RFC 5280 4.1.2.5
pub fn seconds(time: Element<'_>) -> Option<u64> {
    let digits = time.content.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = digits.get(from..to)?;
        Some(digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0')))
    };
    let (year, at) = match (time.tag, digits.len()) {
        (0x17, 12) => (number(0, 2).map(|y| if y < 50 { 2000 + y } else { 1900 + y })?, 2),
        (0x18, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let field = |index: usize| number(at + 2 * index, at + 2 * index + 2);
    // Days since 1970 of a date whose year begins in March, so that a leap day comes last.
    let (month, day) = (field(0)?, field(1)?);
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    u64::try_from(days * 86_400 + field(2)? * 3600 + field(3)? * 60 + field(4)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<u64> {
        seconds(Element { tag, content: text.as_bytes(), whole: &[] })
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        assert_eq!(time(0x17, "700101000000Z"), Some(0));
        assert_eq!(time(0x17, "240229120000Z"), Some(1_709_208_000));
        assert_eq!(time(0x18, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(time(0x17, "2402291200Z"), None);
        assert_eq!(time(0x18, "2050010100000xZ"), None);
        assert_eq!(time(0x17, "500101000000Z"), None, "before 1970");
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        assert!(Elements(&[0x30, 0x05, 1]).next().is_none());
        assert!(Elements(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).next().is_none());
        assert!(Elements(&[0x30, 0x80, 0, 0]).next().is_none(), "an indefinite length is not DER");
        assert!(Elements(&[0x30]).next().is_none());
        let mut two = Elements(&[0x02, 0x01, 7, 0x05, 0x00]);
        assert_eq!(two.next().map(|e| e.content), Some(&[7][..]));
        assert_eq!(two.next().map(|e| e.whole), Some(&[5, 0][..]));
    }
}
