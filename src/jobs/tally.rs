//! Counts what became of this process's claims.
//!
//! Invariant: counts only grow, and begin at 0 with the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::metrics;

/// What was done since the process started.
pub(super) struct Done {
    pub(super) uptime: Duration,
    /// Jobs claimed.
    pub(super) claimed: u64,
    /// Of those, jobs that another claim had before.
    pub(super) redelivered: u64,
    /// Runs whose end was rejected.
    pub(super) fenced: u64,
}

/// What this process has done with its claims.
#[derive(Debug)]
pub(super) struct Tally {
    started: Instant,
    claimed: AtomicU64,
    redelivered: AtomicU64,
    fenced: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        let (claimed, redelivered, fenced) = Default::default();
        Self { started: Instant::now(), claimed, redelivered, fenced }
    }
}

impl Tally {
    /// Count a claim under this epoch.
    pub(super) fn note_claim(&self, epoch: i64) {
        self.claimed.fetch_add(1, Ordering::Relaxed);
        if epoch > 1 {
            self.redelivered.fetch_add(1, Ordering::Relaxed);
            metrics::JOBS_REDELIVERED.add(1, []);
        }
    }

    /// Count a run whose end was rejected: the job had been claimed again, or deleted.
    pub(super) fn note_fenced(&self) {
        self.fenced.fetch_add(1, Ordering::Relaxed);
        metrics::JOBS_FENCED.add(1, []);
    }
    /// What was counted so far.
    pub(super) fn read(&self) -> Done {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Done {
            uptime: self.started.elapsed(),
            claimed: load(&self.claimed),
            redelivered: load(&self.redelivered),
            fenced: load(&self.fenced),
        }
    }
}
