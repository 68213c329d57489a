//! In which order waiting jobs are claimed.
//!
//! Invariants: among jobs of one priority the one goes first that would end first if each had the device to itself from its
//! arrival on (arrival plus cost over rate; for jobs of a key, plus what goes first of the key's own), so a short job passes long
//! ones that came a little earlier and none waits for ever; a level of priority is worth a fixed head start. The queues of a
//! fleet know no such order: there, jobs of an owner who has a lot in them yield to those of others.

use std::time::Duration;

use super::speed::Speed;
use crate::records::Job;

/// Head start of one level of priority, ms: a job overtakes what came up to this much earlier, and is itself overtaken by
/// a lower one only once that has waited so much longer.
const HEAD_START_MS: f64 = 60_000.0;

/// What a job waits longer for each worker that was lost with it, ms, and at the most: those that it was not lost with go
/// first.
const LOSS_PENALTY_MS: i64 = 10_000;
const MAX_LOSS_PENALTY_MS: i64 = 600_000;

/// Jobs of an owner who has so much in a fleet's queue yield: what keeps all its workers busy for so long.
pub(crate) const OWN_WORK: Duration = Duration::from_secs(5);

/// Whether a job yields to those of other owners, by the cost of all that its owner has that has not ended.
pub(crate) fn yields(held_cost: u64, speed: Speed) -> bool {
    speed.time_for(held_cost) > OWN_WORK
}

/// When it is a job's turn: smaller goes first. `behind` is the cost of the owner's own jobs that go before it; `rate` the
/// cost that is done in a ms at present.
pub(crate) fn turn(job: &Job, behind: u64, rate: f64) -> i64 {
    let penalty = job.losses.saturating_mul(LOSS_PENALTY_MS).clamp(0, MAX_LOSS_PENALTY_MS);
    let cost = job.cost.saturating_add(behind);
    turn_of(job.created_at.saturating_add(penalty), cost, job.spec.priority.level(), rate)
}

fn turn_of(created_at: i64, cost: u64, priority: u8, rate: f64) -> i64 {
    #[expect(clippy::cast_precision_loss, reason = "ms and costs are far below 2^53")]
    let turn = created_at as f64 + cost as f64 / rate.max(f64::MIN_POSITIVE) - f64::from(priority) * HEAD_START_MS;
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let turn = turn as i64;
    turn
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Id, priority, cost and arrival. Cost 1 takes 1 ms.
    type Waiting = (u32, u8, u64, i64);

    fn order(jobs: &[Waiting]) -> Vec<u32> {
        let mut jobs = jobs.to_vec();
        jobs.sort_by_key(|(id, priority, cost, arrived)| (turn_of(*arrived, *cost, *priority, 1.0), *id));
        jobs.into_iter().map(|(id, ..)| id).collect()
    }

    #[test]
    fn equal_jobs_go_in_the_order_of_arrival() {
        assert_eq!(order(&[(3, 1, 10, 2), (1, 1, 10, 0), (2, 1, 10, 1)]), [1, 2, 3]);
    }

    #[test]
    fn a_short_job_passes_long_ones_but_not_for_ever() {
        let long = (1, 1, 5000, 0);
        assert_eq!(order(&[long, (2, 1, 10, 4000)]), [2, 1]);
        assert_eq!(order(&[long, (2, 1, 10, 6000)]), [1, 2]);
    }

    #[test]
    fn priority_is_a_head_start() {
        let normal = (1, 1, 10, 0);
        assert_eq!(order(&[normal, (2, 2, 10, 30_000)]), [2, 1]);
        assert_eq!(order(&[normal, (2, 2, 10, 90_000)]), [1, 2]);
    }
}
