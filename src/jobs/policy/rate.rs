//! How fast work gets done, measured, for estimates of waiting time.
//!
//! Invariant: an estimate is finite and above 0, also before the first measurement.

use std::time::{Duration, Instant};

/// Weight of a second's measurement.
const SMOOTHING: f64 = 0.1;
/// Cost per ms before anything was measured: 50 steps of 64x64 px in a second.
const GUESS: f64 = 200.0;
/// Longest estimate.
const LONGEST: Duration = Duration::from_hours(1);

/// Cost per ms of busy time, smoothed.
#[derive(Debug)]
pub(crate) struct Rate {
    per_ms: f64,
    measured: bool,
    /// Cost done since `since`; None while nothing runs.
    current: Option<(Instant, f64)>,
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_ms: GUESS, measured: false, current: None }
    }
}

impl Rate {
    /// Record that this much cost was done at `now`.
    pub(crate) fn record_done(&mut self, cost: f64, now: Instant) {
        let (_, done) = self.current.get_or_insert((now, 0.0));
        *done += cost;
    }

    /// Close the measurement that is open; `busy` says whether work goes on. Called about once a second.
    pub(crate) fn tick(&mut self, busy: bool, now: Instant) {
        if let Some((since, done)) = self.current.take() {
            let ms = now.duration_since(since).as_secs_f64() * 1e3;
            if ms >= 1.0 && done > 0.0 {
                let sample = done / ms;
                self.per_ms = if self.measured { self.per_ms + SMOOTHING * (sample - self.per_ms) } else { sample };
                self.measured = true;
            }
        }
        if busy {
            self.current = Some((now, 0.0));
        }
    }

    /// Cost per ms.
    pub(crate) fn per_ms(&self) -> f64 {
        self.per_ms
    }

    /// How long this much cost will take.
    pub(crate) fn time_for(&self, cost: u64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let ms = cost as f64 / self.per_ms;
        Duration::from_secs_f64((ms / 1e3).clamp(0.0, LONGEST.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_does_not_count_and_estimates_follow_what_was_measured() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut rate = Rate::default();
        rate.tick(true, at(0));
        rate.record_done(5_000.0, at(500));
        rate.tick(false, at(1000));
        assert_eq!(rate.time_for(10_000), Duration::from_secs(2));
        // A minute without work, then the same speed again.
        rate.tick(true, at(61_000));
        rate.record_done(5_000.0, at(61_500));
        rate.tick(false, at(62_000));
        assert_eq!(rate.time_for(10_000), Duration::from_secs(2));
    }

    #[test]
    fn an_estimate_is_bounded() {
        assert_eq!(Rate::default().time_for(u64::MAX), LONGEST);
        assert!(Rate::default().time_for(1) > Duration::ZERO);
    }
}
