//! So much at once, and so much more each second.

use std::time::Instant;

/// A token bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    burst: u32,
    rate: u32,
    left: u32,
    since: Option<Instant>,
}

impl Bucket {
    /// A full one.
    pub fn new(burst: u32, rate: u32) -> Bucket {
        Bucket { burst, rate, left: burst, since: None }
    }

    /// Takes a token; false if there is none. It fills up by whole seconds.
    pub fn take(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let seconds = now.saturating_duration_since(since).as_secs();
        if seconds > 0 {
            let more = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(self.rate);
            self.left = self.left.saturating_add(more).min(self.burst);
            self.since = Some(now);
        }
        let has = self.left > 0;
        self.left -= u32::from(has);
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_empties_and_fills_up_to_its_burst() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut bucket = Bucket::new(3, 2);
        let mut taken = |ms| (0..9).take_while(|_| bucket.take(after(ms))).count();
        assert_eq!(taken(0), 3);
        assert_eq!(taken(999), 0);
        assert_eq!(taken(1000), 2);
        assert_eq!(taken(9000), 3);
    }
}
