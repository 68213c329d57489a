//! A service that keeps failing is not asked for a while, so that those who need it do not wait for it each.
//!
//! Invariant: after a pause one question is let through, and the others fail until it has been answered.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// When a failing service is not asked for a while.
#[derive(Debug, Clone, Copy)]
pub struct BreakerPolicy {
    /// Failures in a row.
    pub after: u32,
    pub pause: Duration,
}

/// Counts the failures of one service.
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Until then the service is not asked.
    open_until: Option<Instant>,
}

impl Breaker {
    /// A breaker of a service that has not failed yet.
    #[must_use]
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: Mutex::default() }
    }

    /// Whether the service is not to be asked now.
    pub fn is_open(&self) -> bool {
        let mut state = self.state.lock();
        match state.open_until {
            Some(until) if Instant::now() < until => true,
            Some(_) => {
                state.open_until = Some(Instant::now() + self.policy.pause);
                false
            }
            None => false,
        }
    }

    /// Note how a question ended.
    pub fn record(&self, worked: bool) {
        let mut state = self.state.lock();
        if worked {
            *state = State::default();
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= self.policy.after {
            state.open_until = Some(Instant::now() + self.policy.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_and_one_success_closes_it() {
        let breaker = Breaker::new(BreakerPolicy { after: 2, pause: Duration::from_hours(1) });
        breaker.record(false);
        breaker.record(true);
        breaker.record(false);
        assert!(!breaker.is_open(), "not in a row");
        breaker.record(false);
        assert!(breaker.is_open());
        let short = Breaker::new(BreakerPolicy { after: 1, pause: Duration::ZERO });
        short.record(false);
        assert!(!short.is_open(), "the pause is over");
    }
}
