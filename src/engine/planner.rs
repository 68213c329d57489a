//! Which samples take the next step together.
//!
//! Pure: no tensors, no clock, no randomness. Given the same calls it gives the same answers. Invariants: a batch has one
//! key and at most its cap of rows (one sample always fits); every key with work is served again and again, in proportion
//! to what its steps cost (deficit round robin, Shreedhar & Varghese 1995), so a short job that arrives behind long ones
//! joins the next round and not the end of the line; within a key, higher priority goes first, and waiting raises it.

use std::collections::BTreeMap;

/// Rounds of waiting that are worth one level of priority.
const ROUNDS_PER_LEVEL: u64 = 16;

/// A sample that could take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<K> {
    /// Unique, and larger for later arrivals.
    pub id: u64,
    pub key: K,
    /// Rows of the network that its step takes.
    pub rows: usize,
    /// Larger goes first.
    pub priority: u8,
    /// Steps of any key that were taken since its own last step.
    pub waited: u64,
}

/// Samples to step together, by id, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<K> {
    pub key: K,
    pub ids: Vec<u64>,
    pub rows: usize,
}

/// What the planner may assume.
pub trait Costs<K> {
    /// Most rows of one batch of this key.
    fn cap(&self, key: K) -> usize;
    /// Expected cost of a batch, in any unit, above 0.
    fn cost(&self, key: K, rows: usize) -> f64;
}

/// The state of the round robin.
#[derive(Debug, Default)]
pub struct Planner<K> {
    /// Unused credit per key with work.
    credit: BTreeMap<K, f64>,
    /// The key whose turn it was last.
    last: Option<K>,
}

impl<K: Copy + Ord> Planner<K> {
    /// A planner that has served nobody.
    #[must_use]
    pub fn new() -> Self {
        Self { credit: BTreeMap::new(), last: None }
    }

    /// The next batch, or None where there is nothing to do.
    pub fn next(&mut self, candidates: &[Candidate<K>], costs: &impl Costs<K>) -> Option<Batch<K>> {
        let mut by_key: BTreeMap<K, Vec<&Candidate<K>>> = BTreeMap::new();
        for candidate in candidates {
            by_key.entry(candidate.key).or_default().push(candidate);
        }
        // A key without work loses its credit: it must not save up while it is idle.
        self.credit.retain(|key, _| by_key.contains_key(key));
        let batches: BTreeMap<K, (Batch<K>, f64)> = by_key
            .into_iter()
            .map(|(key, members)| {
                let batch = choose(key, members, costs.cap(key));
                let cost = costs.cost(key, batch.rows).max(f64::MIN_POSITIVE);
                (key, (batch, cost))
            })
            .collect();
        // The dearest batch's cost as the quantum: every key can afford its batch after one turn.
        let quantum = batches.values().map(|(_, cost)| *cost).fold(0.0, f64::max);
        let order: Vec<K> = match self.last {
            Some(last) => {
                let after = batches.keys().copied().filter(|key| *key > last);
                let before = batches.keys().copied().filter(|key| *key <= last);
                // The key whose turn it was goes on while its credit lasts.
                let on_turn = batches.contains_key(&last).then_some(last);
                let rest: Vec<K> = after.chain(before).collect();
                on_turn.into_iter().chain(rest).collect()
            }
            None => batches.keys().copied().collect(),
        };
        let continuing = self.last.filter(|last| order.first() == Some(last));
        for (turn, key) in order.iter().enumerate() {
            let (batch, cost) = &batches[key];
            let credit = self.credit.entry(*key).or_insert(0.0);
            let is_continuation = turn == 0 && continuing.is_some();
            if !is_continuation {
                *credit += quantum;
            }
            if *credit >= *cost {
                *credit -= cost;
                self.last = Some(*key);
                return Some(batch.clone());
            }
        }
        None
    }
}

/// The members that go first, up to the cap.
fn choose<K: Copy>(key: K, mut members: Vec<&Candidate<K>>, cap: usize) -> Batch<K> {
    let urgency = |candidate: &Candidate<K>| u64::from(candidate.priority) + candidate.waited / ROUNDS_PER_LEVEL;
    members.sort_by_key(|candidate| (std::cmp::Reverse(urgency(candidate)), candidate.id));
    let mut batch = Batch { key, ids: Vec::new(), rows: 0 };
    for member in members {
        if batch.ids.is_empty() || batch.rows + member.rows <= cap {
            batch.ids.push(member.id);
            batch.rows += member.rows;
        }
    }
    batch.ids.sort_unstable();
    batch
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAP: usize = 8;

    /// Key k costs k + 1 per row.
    struct Table;

    impl Costs<u8> for Table {
        fn cap(&self, _key: u8) -> usize {
            CAP
        }

        #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
        fn cost(&self, key: u8, rows: usize) -> f64 {
            f64::from(key + 1) * rows as f64
        }
    }

    /// A job: arrival round, key, rows, priority and steps.
    #[derive(Debug, Clone)]
    struct Job {
        arrival: u64,
        key: u8,
        rows: usize,
        priority: u8,
        steps: u64,
    }

    fn jobs() -> impl Strategy<Value = Vec<Job>> {
        let job = (0..200_u64, 0..4_u8, 1..=CAP + 2, 0..3_u8, 1..20_u64)
            .prop_map(|(arrival, key, rows, priority, steps)| Job { arrival, key, rows, priority, steps });
        prop::collection::vec(job, 1..40)
    }

    /// Run all jobs to their end; the batches in order, and the round in which each job ended.
    fn simulate(jobs: &[Job]) -> (Vec<Batch<u8>>, Vec<u64>) {
        let mut planner = Planner::new();
        let mut left: Vec<u64> = jobs.iter().map(|job| job.steps).collect();
        let mut waited = vec![0_u64; jobs.len()];
        let mut ended = vec![0; jobs.len()];
        let (mut batches, mut round) = (Vec::new(), 0);
        while left.iter().any(|steps| *steps > 0) {
            let candidates: Vec<Candidate<u8>> = jobs
                .iter()
                .enumerate()
                .filter(|(i, job)| left[*i] > 0 && job.arrival <= round)
                .map(|(i, job)| Candidate {
                    id: i as u64,
                    key: job.key,
                    rows: job.rows,
                    priority: job.priority,
                    waited: waited[i],
                })
                .collect();
            if let Some(batch) = planner.next(&candidates, &Table) {
                for candidate in &candidates {
                    waited[usize::try_from(candidate.id).unwrap()] += 1;
                }
                for id in &batch.ids {
                    let i = usize::try_from(*id).unwrap();
                    left[i] -= 1;
                    waited[i] = 0;
                    ended[i] = round;
                }
                batches.push(batch);
            } else {
                assert!(candidates.is_empty(), "work was there and none was chosen");
            }
            round += 1;
        }
        (batches, ended)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn batches_have_one_key_and_keep_the_cap(jobs in jobs()) {
            for batch in simulate(&jobs).0 {
                let members: Vec<&Job> = batch.ids.iter().map(|id| &jobs[usize::try_from(*id).unwrap()]).collect();
                prop_assert!(members.iter().all(|job| job.key == batch.key));
                let rows: usize = members.iter().map(|job| job.rows).sum();
                prop_assert_eq!(rows, batch.rows);
                prop_assert!(rows <= CAP || members.len() == 1);
            }
        }

        #[test]
        fn the_same_arrivals_give_the_same_batches(jobs in jobs()) {
            prop_assert_eq!(simulate(&jobs), simulate(&jobs));
        }

        #[test]
        fn nobody_waits_forever(jobs in jobs()) {
            // Every job's steps come, and none waits for more rounds than all the others' steps together could take.
            let (batches, ended) = simulate(&jobs);
            let all: u64 = jobs.iter().map(|job| job.steps).sum();
            prop_assert!(batches.len() as u64 <= all);
            for (job, ended) in jobs.iter().zip(ended) {
                prop_assert!(ended <= 200 + all, "{job:?} ended in round {ended}");
            }
        }
    }

    fn candidate(id: u64, key: u8, priority: u8) -> Candidate<u8> {
        Candidate { id, key, rows: 2, priority, waited: 0 }
    }

    #[test]
    fn higher_priority_goes_first_when_not_all_fit() {
        let candidates: Vec<_> = (0..6).map(|id| candidate(id, 0, u8::from(id >= 4))).collect();
        let batch = Planner::new().next(&candidates, &Table).unwrap();
        assert_eq!(batch.ids, [0, 1, 4, 5]);
    }

    #[test]
    fn waiting_overcomes_priority() {
        let mut candidates: Vec<_> = (0..5).map(|id| candidate(id, 0, 2)).collect();
        candidates[4].priority = 0;
        candidates[4].waited = 3 * ROUNDS_PER_LEVEL;
        let batch = Planner::new().next(&candidates, &Table).unwrap();
        assert!(batch.ids.contains(&4), "{batch:?}");
    }

    #[test]
    fn keys_share_the_device_by_cost() {
        // Key 3 costs four times what key 0 does, so it gets a quarter of the steps: equal shares of time.
        let candidates = [candidate(0, 0, 1), candidate(1, 3, 1)];
        let mut planner = Planner::new();
        let mut steps = [0, 0];
        for _ in 0..100 {
            let batch = planner.next(&candidates, &Table).unwrap();
            steps[usize::from(batch.key == 3)] += 1;
        }
        assert!((78..=82).contains(&steps[0]), "{steps:?}");
    }
}
