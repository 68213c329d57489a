//! How often a key may ask: a token bucket.
//!
//! Invariant: in any span of time no more requests are let through than a full bucket and what the span fills.

use std::time::{Duration, Instant};

/// What a full bucket stands for: the requests of so long may come at once.
const SPAN: Duration = Duration::from_mins(1);

/// A bucket, kept as the time at which it will be full again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Take a token of `rate` a minute, or say how long it takes until there is one.
    pub fn take(&mut self, rate: u32, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + SPAN / rate.max(1);
        match full_at.saturating_duration_since(now + SPAN) {
            Duration::ZERO => {
                self.full_at = Some(full_at);
                Ok(())
            }
            wait => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_may_be_emptied_at_once_and_fills_evenly() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        for rate in [1, 7, 60, 1_000_000] {
            let mut bucket = Bucket::default();
            assert!((0..rate).all(|_| bucket.take(rate, start).is_ok()), "{rate}");
            assert!(bucket.take(rate, start).is_err(), "{rate}");
        }
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!([bucket.take(2, at(0)), bucket.take(2, at(0))], [Ok(()), Ok(())]);
        // What is refused takes nothing.
        assert_eq!(bucket.take(2, at(10)), Err(Duration::from_secs(20)));
        assert_eq!(bucket.take(2, at(10)), Err(Duration::from_secs(20)));
        assert_eq!(bucket.take(2, at(30)), Ok(()));
        assert_eq!(bucket.take(2, at(31)), Err(Duration::from_secs(29)));
        // It does not fill beyond its rim.
        assert_eq!([bucket.take(2, at(600)), bucket.take(2, at(600))], [Ok(()), Ok(())]);
        assert_eq!(bucket.take(2, at(600)), Err(Duration::from_secs(30)));
    }
}
