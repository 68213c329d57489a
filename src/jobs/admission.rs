//! How much work is let in: jobs, cost and pixels held, each with a bound.
//!
//! Invariant: what is taken is given back exactly once, when its [`Permit`] is dropped; memory held for jobs stays within
//! the bounds whatever the load.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bounds on what is waiting or running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub jobs: u64,
    /// In units of [`crate::modes::CheckedGeneration::cost`].
    pub cost: u64,
    /// Bytes of decoded pictures that came with requests.
    pub input_bytes: u64,
}

/// What one job takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    pub cost: u64,
    pub input_bytes: u64,
}

/// Why a job is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// It is larger than all there is: waiting would not help.
    Never,
    /// Others hold too much; this much cost has to be done before there is room.
    Now { excess_cost: u64 },
}

#[derive(Debug, Default)]
struct Used {
    jobs: u64,
    cost: u64,
    input_bytes: u64,
}

/// The bounds, and what is taken of them.
#[derive(Debug, Clone)]
pub struct Admission {
    capacity: Capacity,
    used: Arc<Mutex<Used>>,
}

/// A job's share, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    demand: Demand,
    used: Arc<Mutex<Used>>,
}

impl Admission {
    /// Nothing is taken yet.
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        Self { capacity, used: Arc::default() }
    }

    /// Let a job in, or say why not. A job that would fit on its own is let in when nothing else is there, and cost alone
    /// never keeps a job out for good: the dearest request within the limits may be dearer than the bound.
    pub fn admit(&self, demand: Demand) -> Result<Permit, Full> {
        let mut used = self.lock();
        if demand.input_bytes > self.capacity.input_bytes || self.capacity.jobs == 0 {
            return Err(Full::Never);
        }
        let cost_fits = used.cost.saturating_add(demand.cost) <= self.capacity.cost || used.jobs == 0;
        let fits = cost_fits
            && used.jobs < self.capacity.jobs
            && used.input_bytes.saturating_add(demand.input_bytes) <= self.capacity.input_bytes;
        if !fits {
            let excess = used.cost.saturating_add(demand.cost).saturating_sub(self.capacity.cost);
            // Where it is jobs or bytes that are short, one average job's cost has to be done.
            let average = used.cost / used.jobs.max(1);
            return Err(Full::Now { excess_cost: excess.max(average) });
        }
        Ok(self.take(&mut used, demand))
    }

    /// Let a job in that was accepted before, whatever the bounds.
    #[must_use]
    pub fn readmit(&self, demand: Demand) -> Permit {
        self.take(&mut self.lock(), demand)
    }

    /// Cost of all that is waiting or running.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.lock().cost
    }

    /// Number of jobs waiting or running.
    #[must_use]
    pub fn jobs(&self) -> u64 {
        self.lock().jobs
    }

    fn take(&self, used: &mut Used, demand: Demand) -> Permit {
        used.jobs += 1;
        used.cost += demand.cost;
        used.input_bytes += demand.input_bytes;
        Permit { demand, used: self.used.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Give the bytes back early: the pixels are not held any longer.
    pub fn release_input(&mut self) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.input_bytes -= self.demand.input_bytes;
        self.demand.input_bytes = 0;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.jobs -= 1;
        used.cost -= self.demand.cost;
        used.input_bytes -= self.demand.input_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission::new(Capacity { jobs: 3, cost: 100, input_bytes: 10 })
    }

    fn demand(cost: u64, input_bytes: u64) -> Demand {
        Demand { cost, input_bytes }
    }

    #[test]
    fn each_bound_keeps_jobs_out_until_room_is_given_back() {
        let admission = admission();
        let first = admission.admit(demand(60, 6)).unwrap();
        assert_eq!(admission.admit(demand(50, 0)).unwrap_err(), Full::Now { excess_cost: 60 });
        assert!(matches!(admission.admit(demand(1, 5)), Err(Full::Now { .. })));
        let mut second = admission.admit(demand(1, 4)).unwrap();
        let _third = admission.admit(demand(1, 0)).unwrap();
        assert!(matches!(admission.admit(demand(1, 0)), Err(Full::Now { .. })));
        second.release_input();
        drop(first);
        let _again = admission.admit(demand(98, 10)).unwrap();
        assert_eq!((admission.jobs(), admission.cost()), (3, 100));
    }

    #[test]
    fn a_job_dearer_than_the_bound_runs_alone_and_one_with_too_many_bytes_never() {
        let admission = admission();
        assert_eq!(admission.admit(demand(1, 11)).unwrap_err(), Full::Never);
        let dear = admission.admit(demand(500, 0)).unwrap();
        assert_eq!(admission.admit(demand(1, 0)).unwrap_err(), Full::Now { excess_cost: 500 });
        drop(dear);
        assert_eq!(admission.cost(), 0);
    }

    #[test]
    fn jobs_from_before_a_restart_are_let_in_beyond_the_bounds() {
        let admission = admission();
        let permits: Vec<_> = (0..5).map(|_| admission.readmit(demand(50, 0))).collect();
        assert!(matches!(admission.admit(demand(1, 0)), Err(Full::Now { .. })));
        drop(permits);
        assert_eq!((admission.jobs(), admission.cost()), (0, 0));
    }
}
