//! How much work is admitted: jobs, cost and pixels held, each with a bound.
//!
//! Invariant: what is taken is given back exactly once, when its [`CapacityPermit`] is dropped; memory held for jobs stays within
//! the bounds whatever the load.

use std::sync::Arc;

use parking_lot::Mutex;

/// Bounds on what is waiting or running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub jobs: u64,
    /// In units of [`crate::modes::Generation::cost`].
    pub cost: u64,
    /// Bytes of decoded images that came with requests.
    pub input_bytes: u64,
    /// Bytes that jobs in execution take ([`crate::modes::Generation::working_bytes`]).
    pub working_bytes: u64,
}

/// What one job takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Demand {
    pub(crate) cost: u64,
    pub(crate) input_bytes: u64,
}

/// What an owner holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    pub(crate) jobs: u64,
    pub(crate) cost: u64,
    pub(crate) input_bytes: u64,
}

/// Why a job is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CapacityExceeded {
    /// It is larger than all there is: waiting would not help.
    Never,
    /// Others hold too much; this much cost has to be done before there is room.
    Now { excess_cost: u64 },
    /// The owner holds its share; this much of its own cost has to be done.
    Share { excess_cost: u64 },
}

#[derive(Debug, Default)]
struct Used {
    jobs: u64,
    cost: u64,
    input_bytes: u64,
    /// What other processes hold of the same bounds, as of a moment ago.
    jobs_elsewhere: u64,
    cost_elsewhere: u64,
    /// Jobs and cost that were held here when that was found out.
    before: (u64, u64),
}

impl Used {
    fn all_jobs(&self) -> u64 {
        self.jobs.saturating_add(self.jobs_elsewhere)
    }

    fn all_cost(&self) -> u64 {
        self.cost.saturating_add(self.cost_elsewhere)
    }
}

/// The bounds, and what is taken of them.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    capacity: Capacity,
    used: Arc<Mutex<Used>>,
}

/// A job's share, given back when dropped.
#[derive(Debug)]
pub(crate) struct CapacityPermit {
    demand: Demand,
    used: Arc<Mutex<Used>>,
}

impl Admission {
    /// Nothing is taken yet.
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self { capacity, used: Arc::default() }
    }

    /// Admit a job if the bounds allow it. A job that would fit on its own is admitted when there is no other, and cost alone
    /// never rejects a job for good: the most expensive request within the limits may cost more than the bound.
    pub(crate) fn admit(&self, demand: Demand) -> Result<CapacityPermit, CapacityExceeded> {
        let mut used = self.used.lock();
        if demand.input_bytes > self.capacity.input_bytes || self.capacity.jobs == 0 {
            return Err(CapacityExceeded::Never);
        }
        let cost_fits = used.all_cost().saturating_add(demand.cost) <= self.capacity.cost || used.all_jobs() == 0;
        let fits = cost_fits
            && used.all_jobs() < self.capacity.jobs
            && used.input_bytes.saturating_add(demand.input_bytes) <= self.capacity.input_bytes;
        if !fits {
            let excess = used.all_cost().saturating_add(demand.cost).saturating_sub(self.capacity.cost);
            // Where it is jobs or bytes that are short, one average job's cost has to be done.
            let average = used.all_cost() / used.all_jobs().max(1);
            return Err(CapacityExceeded::Now { excess_cost: excess.max(average) });
        }
        Ok(self.take(&mut used, demand))
    }

    /// Whether an owner that holds this much may have one more job: at most `share` of what the others leave. Its first job
    /// always may.
    pub(crate) fn check_share(&self, demand: Demand, held: Held, share: f64) -> Result<(), CapacityExceeded> {
        if held.jobs == 0 {
            return Ok(());
        }
        let used = self.used.lock();
        let limit = |capacity: u64, used: u64, held: u64| {
            let left = capacity.saturating_sub(used.saturating_sub(held));
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share"
            )]
            let limit = (left as f64 * share) as u64;
            limit
        };
        let cost = limit(self.capacity.cost, used.all_cost(), held.cost);
        let wanted_cost = held.cost.saturating_add(demand.cost);
        let fits = held.jobs < limit(self.capacity.jobs, used.all_jobs(), held.jobs).max(1)
            && wanted_cost <= cost
            && (demand.input_bytes == 0
                || held.input_bytes.saturating_add(demand.input_bytes)
                    <= limit(self.capacity.input_bytes, used.input_bytes, held.input_bytes));
        if fits {
            return Ok(());
        }
        let average = held.cost / held.jobs.max(1);
        Err(CapacityExceeded::Share { excess_cost: wanted_cost.saturating_sub(cost).max(average) })
    }

    /// Admit a job that was accepted before, whatever the bounds.
    pub(crate) fn readmit(&self, demand: Demand) -> CapacityPermit {
        self.take(&mut self.used.lock(), demand)
    }

    /// All processes of a fleet held this much together a moment ago: what was not held here, others hold of the same bounds.
    /// To be called regularly.
    pub(crate) fn note_total(&self, jobs: u64, cost: u64) {
        let mut used = self.used.lock();
        // What has ended here since may still be in the sum.
        let (jobs_before, cost_before) = used.before;
        used.jobs_elsewhere = jobs.saturating_sub(used.jobs.max(jobs_before));
        used.cost_elsewhere = cost.saturating_sub(used.cost.max(cost_before));
        used.before = (used.jobs, used.cost);
    }

    /// Cost of all that is waiting or running.
    pub(crate) fn cost(&self) -> u64 {
        self.used.lock().cost
    }

    /// Number of jobs waiting or running.
    pub(crate) fn jobs(&self) -> u64 {
        self.used.lock().jobs
    }

    fn take(&self, used: &mut Used, demand: Demand) -> CapacityPermit {
        used.jobs += 1;
        used.cost += demand.cost;
        used.input_bytes += demand.input_bytes;
        CapacityPermit { demand, used: self.used.clone() }
    }
}

impl CapacityPermit {
    /// Give the bytes back early: the pixels are not held any longer.
    pub(crate) fn release_input(&mut self) {
        let mut used = self.used.lock();
        used.input_bytes -= self.demand.input_bytes;
        self.demand.input_bytes = 0;
    }
}

impl Drop for CapacityPermit {
    fn drop(&mut self) {
        let mut used = self.used.lock();
        used.jobs -= 1;
        used.cost -= self.demand.cost;
        used.input_bytes -= self.demand.input_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission::new(Capacity { jobs: 3, cost: 100, input_bytes: 10, working_bytes: 0 })
    }

    fn demand(cost: u64, input_bytes: u64) -> Demand {
        Demand { cost, input_bytes }
    }

    #[test]
    fn each_bound_keeps_jobs_out_until_room_is_given_back() {
        let admission = admission();
        let first = admission.admit(demand(60, 6)).unwrap();
        assert_eq!(admission.admit(demand(50, 0)).unwrap_err(), CapacityExceeded::Now { excess_cost: 60 });
        assert!(matches!(admission.admit(demand(1, 5)), Err(CapacityExceeded::Now { .. })));
        let mut second = admission.admit(demand(1, 4)).unwrap();
        let _third = admission.admit(demand(1, 0)).unwrap();
        assert!(matches!(admission.admit(demand(1, 0)), Err(CapacityExceeded::Now { .. })));
        second.release_input();
        drop(first);
        let _again = admission.admit(demand(98, 10)).unwrap();
        assert_eq!((admission.jobs(), admission.cost()), (3, 100));
    }

    #[test]
    fn a_job_that_costs_more_than_the_bound_runs_alone_and_one_with_too_many_bytes_never() {
        let admission = admission();
        assert_eq!(admission.admit(demand(1, 11)).unwrap_err(), CapacityExceeded::Never);
        let dear = admission.admit(demand(500, 0)).unwrap();
        assert_eq!(admission.admit(demand(1, 0)).unwrap_err(), CapacityExceeded::Now { excess_cost: 500 });
        drop(dear);
        assert_eq!(admission.cost(), 0);
    }

    #[test]
    fn an_owner_has_a_share_of_what_the_others_leave() {
        let admission = Admission::new(Capacity { jobs: 100, cost: 1000, input_bytes: 100, working_bytes: 0 });
        let held = |jobs, cost, input_bytes| Held { jobs, cost, input_bytes };
        let mine: Vec<_> = (0..50).map(|_| admission.readmit(demand(1, 0))).collect();
        let share = |demand, held| admission.check_share(demand, held, 0.5);
        assert_eq!(share(demand(1, 0), held(50, 50, 0)), Err(CapacityExceeded::Share { excess_cost: 1 }));
        assert_eq!(share(demand(1, 0), held(48, 48, 0)), Ok(()), "half of 98");
        assert!(share(demand(460, 0), held(48, 48, 0)).is_err());
        assert!(share(demand(1, 60), held(1, 1, 0)).is_err());
        // Others leave 50 jobs of 100.
        assert_eq!(share(demand(1, 0), held(24, 24, 0)), Ok(()), "half of 74");
        assert_eq!(share(demand(999, 99), held(0, 0, 0)), Ok(()), "the first one is not refused for its size");
        drop(mine);
    }

    #[test]
    fn what_other_processes_hold_counts_and_is_forgotten_when_they_are_done() {
        let admission = admission();
        let mine = admission.admit(demand(20, 0)).unwrap();
        admission.note_total(2, 90);
        assert_eq!(admission.admit(demand(30, 0)).unwrap_err(), CapacityExceeded::Now { excess_cost: 45 });
        let small = admission.admit(demand(5, 0)).unwrap();
        assert!(admission.admit(demand(1, 0)).is_err(), "three jobs");
        // It was counted before the small one came.
        admission.note_total(1, 20);
        assert!(admission.admit(demand(50, 0)).is_ok());
        drop((mine, small));
        admission.note_total(2, 25);
        assert!(admission.admit(demand(500, 0)).is_ok(), "they have ended, and the sum has not heard of it");
        admission.note_total(1, 100);
        assert!(admission.admit(demand(500, 0)).is_err(), "it would not be alone");
        admission.note_total(0, 0);
        assert!(admission.admit(demand(500, 0)).is_ok());
    }

    #[test]
    fn jobs_from_before_a_restart_are_let_in_beyond_the_bounds() {
        let admission = admission();
        let permits: Vec<_> = (0..5).map(|_| admission.readmit(demand(50, 0))).collect();
        assert!(matches!(admission.admit(demand(1, 0)), Err(CapacityExceeded::Now { .. })));
        drop(permits);
        assert_eq!((admission.jobs(), admission.cost()), (0, 0));
    }
}
