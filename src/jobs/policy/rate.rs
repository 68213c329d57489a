//! How fast this process gets work done, measured, for estimates of waiting time.
//!
//! Invariant: it is finite and above 0, also before the first measurement.

use std::time::Instant;

/// Weight of a second's measurement.
const SMOOTHING: f64 = 0.1;
/// Cost per ms before anything was measured: 50 steps of 64x64 px in a second.
const GUESS: f64 = 200.0;

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

    /// The same, if it was measured.
    pub(crate) fn measured(&self) -> Option<f64> {
        self.measured.then_some(self.per_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn idle_time_does_not_count_and_estimates_follow_what_was_measured() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut rate = Rate::default();
        assert!(rate.measured().is_none() && rate.per_ms() > 0.0);
        rate.tick(true, at(0));
        rate.record_done(5_000.0, at(500));
        rate.tick(false, at(1000));
        assert_eq!(rate.measured(), Some(5.0));
        // A minute without work, then the same speed again.
        rate.tick(true, at(61_000));
        rate.record_done(5_000.0, at(61_500));
        rate.tick(false, at(62_000));
        assert_eq!(rate.measured(), Some(5.0));
    }
}
