//! When a process may take over the jobs of others.
//!
//! Invariant: after an outage of the store that this process has seen, or while it has not been running for long, it takes
//! no other server's jobs for as long as a lease lasts: others who saw the same outage extend their leases meanwhile.

use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(crate) struct OutageWatch {
    interval: Duration,
    lease: Duration,
    last_extended: Instant,
    quiet_until: Instant,
}

impl OutageWatch {
    /// Leases last for `lease` and are extended every `interval`.
    pub(crate) fn new(interval: Duration, lease: Duration, now: Instant) -> Self {
        Self { interval, lease, last_extended: now, quiet_until: now + lease }
    }

    /// Record an attempt to extend leases, which ended at `now`.
    pub(crate) fn record(&mut self, extended: bool, now: Instant) {
        // Late is as good as not at all: others may have been as late.
        if !extended || now.duration_since(self.last_extended) > self.interval * 2 {
            self.quiet_until = now + self.lease;
        }
        if extended {
            self.last_extended = now;
        }
    }

    pub(crate) fn may_recover(&self, now: Instant) -> bool {
        now >= self.quiet_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_an_outage_a_lease_passes_before_others_jobs_are_taken() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut watch = OutageWatch::new(Duration::from_secs(2), Duration::from_secs(6), start);
        assert!(!watch.may_recover(at(5)), "it has just started");
        for s in [2, 4, 6, 8] {
            watch.record(true, at(s));
        }
        assert!(watch.may_recover(at(8)));
        // The store is away from 9 to 17, seen as an error once.
        watch.record(false, at(10));
        watch.record(true, at(17));
        assert!(!watch.may_recover(at(22)) && watch.may_recover(at(23)));
        // An outage that made one call late, and failed none.
        watch.record(true, at(19));
        watch.record(true, at(26));
        assert!(!watch.may_recover(at(31)) && watch.may_recover(at(32)));
    }
}
