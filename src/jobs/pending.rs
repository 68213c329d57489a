//! In which order waiting jobs go to the workers.
//!
//! Pure. Invariants: among jobs of one priority the one goes first that would end first if each had the device to itself
//! from its arrival on (arrival plus cost over rate), so a short job passes long ones that came a little earlier and none
//! waits for ever; a level of priority is worth a fixed head start.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::records::Job;

/// Head start of one level of priority, ms: a job overtakes what came up to this much earlier, and is itself overtaken by
/// a lower one only once that has waited so much longer.
const HEAD_START_MS: f64 = 60_000.0;

/// A job that waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waiting {
    pub id: Uuid,
    /// Larger goes first.
    pub priority: u8,
    pub cost: u64,
    pub pictures: u32,
    /// ms since 1970.
    pub arrived: i64,
}

impl Waiting {
    /// What matters of a job.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        Self {
            id: job.id,
            priority: job.spec.priority.level(),
            cost: job.cost,
            pictures: job.spec.generation.common.n,
            arrived: job.created_at,
        }
    }
}

/// Jobs in the order in which they will go.
#[derive(Debug, Default)]
pub struct Pending {
    order: BTreeMap<(i64, Uuid), Waiting>,
    keys: std::collections::HashMap<Uuid, i64>,
}

impl Pending {
    /// Add a job; `rate` is the cost that is done in a ms at present. A job that is there already stays where it is.
    pub fn push(&mut self, waiting: Waiting, rate: f64) {
        if self.keys.contains_key(&waiting.id) {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "ms and costs are far below 2^53")]
        let key = waiting.arrived as f64 + waiting.cost as f64 / rate.max(f64::MIN_POSITIVE)
            - f64::from(waiting.priority) * HEAD_START_MS;
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let key = key as i64;
        self.keys.insert(waiting.id, key);
        self.order.insert((key, waiting.id), waiting);
    }

    /// The next one, if it has at most `room` pictures (or `room` is all there is).
    pub fn pop(&mut self, room: u32, all: u32) -> Option<Waiting> {
        let entry = self.order.first_entry()?;
        if entry.get().pictures.min(all) > room {
            return None;
        }
        let waiting = entry.remove();
        self.keys.remove(&waiting.id);
        Some(waiting)
    }

    /// Take one out. False if it was not there.
    pub fn remove(&mut self, id: Uuid) -> bool {
        match self.keys.remove(&id) {
            Some(key) => self.order.remove(&(key, id)).is_some(),
            None => false,
        }
    }

    /// All in order, each with the cost before it.
    pub fn iter(&self) -> impl Iterator<Item = (&Waiting, u64)> {
        self.order.values().scan(0_u64, |before, waiting| {
            let mine = *before;
            *before = before.saturating_add(waiting.cost);
            Some((waiting, mine))
        })
    }

    /// Whether it waits here.
    #[must_use]
    pub fn contains(&self, id: Uuid) -> bool {
        self.keys.contains_key(&id)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cost 1 takes 1 ms.
    const RATE: f64 = 1.0;

    fn waiting(id: u128, priority: u8, cost: u64, arrived: i64) -> Waiting {
        Waiting { id: Uuid::from_u128(id), priority, cost, pictures: 1, arrived }
    }

    fn order(jobs: &[Waiting]) -> Vec<u128> {
        let mut pending = Pending::default();
        for job in jobs {
            pending.push(*job, RATE);
        }
        std::iter::from_fn(|| pending.pop(8, 8)).map(|job| job.id.as_u128()).collect()
    }

    #[test]
    fn equal_jobs_go_in_the_order_of_arrival() {
        assert_eq!(order(&[waiting(3, 1, 10, 2), waiting(1, 1, 10, 0), waiting(2, 1, 10, 1)]), [1, 2, 3]);
    }

    #[test]
    fn a_short_job_passes_long_ones_but_not_for_ever() {
        let long = waiting(1, 1, 5000, 0);
        assert_eq!(order(&[long, waiting(2, 1, 10, 4000)]), [2, 1]);
        assert_eq!(order(&[long, waiting(2, 1, 10, 6000)]), [1, 2]);
    }

    #[test]
    fn priority_is_a_head_start() {
        let normal = waiting(1, 1, 10, 0);
        assert_eq!(order(&[normal, waiting(2, 2, 10, 30_000)]), [2, 1]);
        assert_eq!(order(&[normal, waiting(2, 2, 10, 90_000)]), [1, 2]);
    }

    #[test]
    fn a_job_waits_for_room_and_the_largest_takes_an_empty_worker() {
        let mut pending = Pending::default();
        pending.push(Waiting { pictures: 8, ..waiting(1, 1, 10, 0) }, RATE);
        assert_eq!(pending.pop(7, 8), None);
        assert!(pending.pop(8, 8).is_some());
        pending.push(Waiting { pictures: 8, ..waiting(2, 1, 10, 0) }, RATE);
        assert!(pending.pop(4, 4).is_some());
    }

    #[test]
    fn what_is_taken_out_does_not_come_and_positions_count_the_cost_before() {
        let mut pending = Pending::default();
        for id in 1..=3 {
            pending.push(waiting(id, 1, 10, i64::try_from(id).unwrap()), RATE);
        }
        assert!(pending.remove(Uuid::from_u128(2)) && !pending.remove(Uuid::from_u128(2)));
        let left: Vec<(u128, u64)> = pending.iter().map(|(job, before)| (job.id.as_u128(), before)).collect();
        assert_eq!(left, [(1, 0), (3, 10)]);
    }
}
