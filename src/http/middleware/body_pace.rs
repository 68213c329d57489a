//! How fast a body must arrive.
//!
//! Invariant: every body ends in a bounded time; a client that is as fast as the least rate is never cut off by it.

use std::time::Duration;

use tokio::time::Instant;

/// Bounds of the time of a body. Time that the server keeps it waiting does not count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyPace {
    /// Longest pause between two parts.
    pub(crate) pause: Duration,
    /// Longest time in all.
    pub(crate) total: Duration,
    /// Least rate after the first pause, bytes/s.
    pub(crate) min_rate: u64,
}

/// How a body has arrived so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    started: Instant,
    last: Instant,
    waited: Duration,
    bytes: u64,
}

impl Arrival {
    /// The body begins.
    pub(crate) fn begin(now: Instant) -> Self {
        Self { started: now, last: now, waited: Duration::ZERO, bytes: 0 }
    }

    /// A part arrived, and had to wait for `waited` until now.
    pub(crate) fn add(&mut self, bytes: usize, waited: Duration, now: Instant) {
        self.bytes += bytes as u64;
        self.waited += waited;
        self.last = now;
    }

    /// Until when the next part must arrive.
    pub(crate) fn deadline(&self, pace: &BodyPace) -> Instant {
        let earned = Duration::from_secs(self.bytes.checked_div(pace.min_rate).unwrap_or(u64::from(u32::MAX)));
        let in_all = pace.total.min(pace.pause.saturating_add(earned));
        (self.started + self.waited + in_all).min(self.last + pace.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_bodies_end_and_steady_ones_do_not() {
        let pace = BodyPace { pause: Duration::from_secs(30), total: Duration::from_mins(5), min_rate: 1000 };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let silent = Arrival::begin(start);
        assert_eq!(silent.deadline(&pace), at(30));

        // One byte each 18 seconds keeps no body alive.
        let mut dripping = Arrival::begin(start);
        dripping.add(1, Duration::ZERO, at(18));
        assert_eq!(dripping.deadline(&pace), at(30));

        let mut steady = Arrival::begin(start);
        steady.add(50_000, Duration::ZERO, at(50));
        assert_eq!(steady.deadline(&pace), at(80));
        steady.add(1 << 20, Duration::ZERO, at(290));
        assert_eq!(steady.deadline(&pace), at(300), "no body takes longer than the total");
        steady.add(1, Duration::from_mins(1), at(301));
        assert_eq!(steady.deadline(&pace), at(331), "the server's own waiting does not count");

        let unhurried = BodyPace { min_rate: 0, ..pace };
        assert_eq!(dripping.deadline(&unhurried), at(48));
    }
}
