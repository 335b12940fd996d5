//! IMF-fixdate, rendered at most once a second.
//= RFC 9110 5.6.7

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The text of the current second.
#[derive(Clone, Debug)]
pub struct Date {
    second: u64,
    text: [u8; 29],
}

impl Default for Date {
    fn default() -> Date {
        let mut date = Date { second: 0, text: [b' '; 29] };
        date.render();
        date
    }
}

impl Date {
    /// The text for `now`.
    pub fn at(&mut self, now: SystemTime) -> &[u8; 29] {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if second != self.second {
            self.second = second;
            self.render();
        }
        &self.text
    }

    fn render(&mut self) {
        let time = UNIX_EPOCH + Duration::from_secs(self.second);
        // Cannot fail: an HttpDate is 29 bytes for every year below 10000.
        let _ = write!(&mut self.text[..], "{}", httpdate::HttpDate::from(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_imf_fixdate() {
        let mut date = Date::default();
        let text = date.at(UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(text, b"Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
