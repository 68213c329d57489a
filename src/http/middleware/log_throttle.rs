//! A bound on how often a line is logged that any client can cause.
//!
//! Invariant: a line passes at most once a second, and says how many did not since the last one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const INTERVAL: Duration = Duration::from_secs(1);

/// Counts the lines that are left out.
pub(super) struct LogThrottle {
    passed_at: Mutex<Option<Instant>>,
    unsaid: AtomicU64,
}

impl LogThrottle {
    pub(super) const fn new() -> Self {
        Self { passed_at: Mutex::new(None), unsaid: AtomicU64::new(0) }
    }

    /// How many lines were left out since the last one that passed; None: this one is, too.
    pub(super) fn pass(&self) -> Option<u64> {
        let mut passed_at = self.passed_at.lock();
        if passed_at.is_some_and(|at| at.elapsed() < INTERVAL) {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *passed_at = Some(Instant::now());
        Some(self.unsaid.swap(0, Ordering::Relaxed))
    }
}
