//! The request rate of a key: a token bucket.
//!
//! Invariant: in any period, at most the burst size plus the tokens refilled in that period are taken.

use std::time::{Duration, Instant};

/// The burst size is the number of tokens refilled in this time.
const BURST: Duration = Duration::from_mins(1);

/// A bucket, stored as the time at which it will be full again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TokenBucket {
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// Take a token; `rate` tokens are refilled per minute. Fails with the time until there is one.
    pub fn take(&mut self, rate: u32, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + BURST / rate.max(1);
        match full_at.saturating_duration_since(now + BURST) {
            Duration::ZERO => {
                self.full_at = Some(full_at);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Take so many tokens at once, whether they are there or not: what is missing is refilled before the next is taken.
    pub fn charge(&mut self, tokens: u32, rate: u32, now: Instant) {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(full_at + BURST * tokens / rate.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_may_be_emptied_at_once_and_fills_evenly() {
        let (mut bucket, start) = (TokenBucket::default(), Instant::now());
        for rate in [1, 7, 60, 1_000_000] {
            let mut bucket = TokenBucket::default();
            assert!((0..rate).all(|_| bucket.take(rate, start).is_ok()), "{rate}");
            assert!(bucket.take(rate, start).is_err(), "{rate}");
        }
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!([bucket.take(2, at(0)), bucket.take(2, at(0))], [Ok(()), Ok(())]);
        // A refused request takes no token.
        assert_eq!(bucket.take(2, at(10)), Err(Duration::from_secs(20)));
        assert_eq!(bucket.take(2, at(10)), Err(Duration::from_secs(20)));
        assert_eq!(bucket.take(2, at(30)), Ok(()));
        assert_eq!(bucket.take(2, at(31)), Err(Duration::from_secs(29)));
        // What is charged is owed.
        let mut owing = TokenBucket::default();
        owing.charge(5, 2, start);
        assert_eq!(owing.take(2, at(0)), Err(Duration::from_mins(2)));
        assert_eq!(owing.take(2, at(120)), Ok(()));
        // Capped at the burst size.
        assert_eq!([bucket.take(2, at(600)), bucket.take(2, at(600))], [Ok(()), Ok(())]);
        assert_eq!(bucket.take(2, at(600)), Err(Duration::from_secs(30)));
    }
}
