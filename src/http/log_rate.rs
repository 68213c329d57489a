//! How often the same thing is said in the log, where clients decide how often it happens.
//!
//! Invariant: what is not said is counted, and the next line says how many there were.

use std::time::Instant;

use parking_lot::Mutex;

/// A bound on lines of one kind.
#[derive(Debug)]
pub(crate) struct LogRate {
    per_second: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    since: Option<Instant>,
    said: u32,
    suppressed: u64,
}

impl LogRate {
    /// At most this many lines a second.
    pub(crate) const fn per_second(per_second: u32) -> Self {
        Self { per_second, state: Mutex::new(State { since: None, said: 0, suppressed: 0 }) }
    }

    /// Whether to say it now; then, how many were not said before.
    pub(crate) fn allow(&self) -> Option<u64> {
        let mut state = self.state.lock();
        if state.since.is_none_or(|since| since.elapsed().as_secs() >= 1) {
            (state.since, state.said) = (Some(Instant::now()), 0);
        }
        if state.said >= self.per_second {
            state.suppressed += 1;
            return None;
        }
        state.said += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_counted() {
        let rate = LogRate::per_second(2);
        let said = (0..5).filter_map(|_| rate.allow()).count();
        assert_eq!(said, 2);
        rate.state.lock().since = None;
        assert_eq!(rate.allow(), Some(3));
    }
}
