//! Which samples take the next step together.
//!
//! Pure: no tensors, no clock, no randomness. Given the same calls it gives the same answers. Invariants: a batch has one
//! key and at most its cap of rows (one sample always fits); the batch holds a sample of the highest urgency there is,
//! where urgency is priority raised by waiting; keys that are equally urgent share the device in proportion to what their
//! steps cost (deficit round robin, Shreedhar & Varghese 1995), and samples within a key take turns, so a short job that
//! arrives behind long ones joins the next round and not the end of the line.
//!
//! No sample starves: it waits for at most [`LEVELS`] times [`ROUNDS_PER_LEVEL`] steps, and then once for each sample that
//! was in flight at that time. (The wait counter of a stepped sample is reset, so it is less urgent than one that was passed
//! over that long, and so is a sample that arrives later.)

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Steps of waiting that are worth one level of priority.
pub const ROUNDS_PER_LEVEL: u64 = 16;
/// Levels of priority that there are.
pub const LEVELS: u64 = 3;

/// A sample that could take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<K> {
    /// Unique, and larger for later arrivals.
    pub id: u64,
    pub key: K,
    /// Rows of the network that its step takes.
    pub rows: usize,
    /// Larger goes first; below [`LEVELS`].
    pub priority: u8,
    /// Steps of others that were taken since its own last step.
    pub waited: u64,
}

impl<K> Candidate<K> {
    fn urgency(&self) -> u64 {
        u64::from(self.priority) + self.waited / ROUNDS_PER_LEVEL
    }
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
    /// The sample of each key that went last: among equals it is the turn of those behind it.
    cursor: BTreeMap<K, u64>,
    /// The key whose turn it was last.
    last: Option<K>,
}

impl<K: Copy + Ord> Planner<K> {
    /// A planner that has not chosen a batch yet.
    #[must_use]
    pub fn new() -> Self {
        Self { credit: BTreeMap::new(), cursor: BTreeMap::new(), last: None }
    }

    /// The next batch, or None where there is nothing to do.
    pub fn next(&mut self, candidates: &[Candidate<K>], costs: &impl Costs<K>) -> Option<Batch<K>> {
        let mut by_key: BTreeMap<K, Vec<&Candidate<K>>> = BTreeMap::new();
        for candidate in candidates {
            by_key.entry(candidate.key).or_default().push(candidate);
        }
        // A key without work loses its credit: it must not save up while it is idle.
        self.credit.retain(|key, _| by_key.contains_key(key));
        self.cursor.retain(|key, _| by_key.contains_key(key));
        let most_urgent = candidates.iter().map(Candidate::urgency).max()?;
        let batches: BTreeMap<K, Choice<K>> = by_key
            .into_iter()
            .filter(|(_, members)| members.iter().any(|member| member.urgency() == most_urgent))
            .map(|(key, members)| {
                let (batch, went_last) = choose(key, members, costs.cap(key), self.cursor.get(&key).copied());
                let cost = costs.cost(key, batch.rows).max(f64::MIN_POSITIVE);
                (key, Choice { batch, went_last, cost })
            })
            .collect();
        // The dearest batch's cost as the quantum: every key can afford its batch after one turn.
        let quantum = batches.values().map(|choice| choice.cost).fold(0.0, f64::max);
        // The key whose turn it was goes on while its credit lasts.
        let goes_on = self.last.filter(|last| {
            let credit = self.credit.get(last).copied().unwrap_or(0.0);
            batches.get(last).is_some_and(|choice| credit >= choice.cost)
        });
        let key = match (goes_on, self.last) {
            (Some(last), _) => last,
            (None, Some(last)) => *batches.range((Bound::Excluded(last), Bound::Unbounded)).chain(&batches).next()?.0,
            (None, None) => *batches.first_key_value()?.0,
        };
        let choice = batches.get(&key)?;
        let credit = self.credit.entry(key).or_insert(0.0);
        if goes_on.is_none() {
            // What is left of earlier turns that more urgent work cut short is no more than one turn.
            *credit = credit.min(quantum) + quantum;
        }
        *credit -= choice.cost;
        self.last = Some(key);
        self.cursor.insert(key, choice.went_last);
        Some(choice.batch.clone())
    }
}

/// What a key would do if it were its turn.
struct Choice<K> {
    batch: Batch<K>,
    went_last: u64,
    cost: f64,
}

/// The members that go first, up to the cap, and the last of them in the order of turns.
fn choose<K: Copy>(key: K, mut members: Vec<&Candidate<K>>, cap: usize, cursor: Option<u64>) -> (Batch<K>, u64) {
    let had_its_turn = |member: &Candidate<K>| cursor.is_some_and(|cursor| member.id <= cursor);
    members.sort_by_key(|member| (Reverse(member.urgency()), Reverse(member.waited), had_its_turn(member), member.id));
    let mut batch = Batch { key, ids: Vec::new(), rows: 0 };
    for member in members {
        if batch.ids.is_empty() || batch.rows + member.rows <= cap {
            batch.ids.push(member.id);
            batch.rows += member.rows;
        }
    }
    let went_last = batch.ids.last().copied().unwrap_or(0);
    batch.ids.sort_unstable();
    (batch, went_last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAP: usize = 8;

    /// Key k costs (k + 1)^4 per row: the dearest 256 times the cheapest.
    struct Table;

    impl Costs<u8> for Table {
        fn cap(&self, _key: u8) -> usize {
            CAP
        }

        #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
        fn cost(&self, key: u8, rows: usize) -> f64 {
            f64::from(key + 1).powi(4) * rows as f64
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

    /// One choice of the planner, and what it chose from.
    #[derive(Debug, Clone, PartialEq)]
    struct Round {
        candidates: Vec<Candidate<u8>>,
        batch: Batch<u8>,
    }

    /// Run all jobs to their end.
    fn simulate(jobs: &[Job]) -> Vec<Round> {
        let mut planner = Planner::new();
        let mut left: Vec<u64> = jobs.iter().map(|job| job.steps).collect();
        let mut waited = vec![0_u64; jobs.len()];
        let (mut rounds, mut now) = (Vec::new(), 0);
        while left.iter().any(|steps| *steps > 0) {
            let candidates: Vec<Candidate<u8>> = jobs
                .iter()
                .enumerate()
                .filter(|(i, job)| left[*i] > 0 && job.arrival <= now)
                .map(|(i, job)| Candidate {
                    id: i as u64,
                    key: job.key,
                    rows: job.rows,
                    priority: job.priority,
                    waited: waited[i],
                })
                .collect();
            now += 1;
            let Some(batch) = planner.next(&candidates, &Table) else {
                assert!(candidates.is_empty(), "work was there and none was chosen");
                continue;
            };
            for candidate in &candidates {
                waited[usize::try_from(candidate.id).unwrap()] += 1;
            }
            for id in &batch.ids {
                let i = usize::try_from(*id).unwrap();
                left[i] -= 1;
                waited[i] = 0;
            }
            rounds.push(Round { candidates, batch });
        }
        rounds
    }

    fn urgency(candidate: &Candidate<u8>) -> u64 {
        u64::from(candidate.priority) + candidate.waited / ROUNDS_PER_LEVEL
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn batches_have_one_key_and_keep_the_cap(jobs in jobs()) {
            for Round { batch, .. } in simulate(&jobs) {
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
        fn no_sample_waits_longer_than_the_stated_bound(jobs in jobs()) {
            // At most 40 jobs are in flight.
            let bound = LEVELS * ROUNDS_PER_LEVEL + jobs.len() as u64;
            for Round { candidates, .. } in simulate(&jobs) {
                for candidate in candidates {
                    prop_assert!(candidate.waited <= bound, "{candidate:?}, {} jobs", jobs.len());
                }
            }
        }

        #[test]
        fn nothing_less_urgent_goes_while_something_more_urgent_could(jobs in jobs()) {
            for Round { candidates, batch } in simulate(&jobs) {
                let most = |chosen: &dyn Fn(&Candidate<u8>) -> bool| {
                    candidates.iter().filter(|c| chosen(c)).map(urgency).max()
                };
                prop_assert_eq!(most(&|c| batch.ids.contains(&c.id)), most(&|_| true));
                // Within the key, a sample left out for lack of room is not more urgent than one that got in, unless
                // it alone was too large for what was left.
                for left_out in candidates.iter().filter(|c| c.key == batch.key && !batch.ids.contains(&c.id)) {
                    let more_urgent: usize = candidates
                        .iter()
                        .filter(|c| batch.ids.contains(&c.id) && urgency(c) >= urgency(left_out))
                        .map(|c| c.rows)
                        .sum();
                    prop_assert!(more_urgent + left_out.rows > CAP, "{left_out:?} had room in {batch:?}");
                }
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
    fn higher_priority_goes_first_across_keys() {
        let mut planner = Planner::new();
        let normal = [candidate(0, 0, 1), candidate(1, 1, 1)];
        planner.next(&normal, &Table).unwrap();
        let candidates = [normal[0], normal[1], candidate(2, 3, 2)];
        for _ in 0..5 {
            assert_eq!(planner.next(&candidates, &Table).unwrap().ids, [2]);
        }
    }

    #[test]
    fn waiting_overcomes_priority() {
        let mut candidates: Vec<_> = (0..5).map(|id| candidate(id, 0, 2)).collect();
        candidates[4].key = 1;
        candidates[4].priority = 0;
        candidates[4].waited = 3 * ROUNDS_PER_LEVEL;
        let batch = Planner::new().next(&candidates, &Table).unwrap();
        assert_eq!(batch.ids, [4]);
    }

    #[test]
    fn samples_beyond_the_cap_take_turns() {
        // Six samples of two rows, four of which fit.
        let mut candidates: Vec<_> = (0..6).map(|id| candidate(id, 0, 1)).collect();
        let mut planner = Planner::new();
        let mut steps = [0; 6];
        for _ in 0..30 {
            let batch = planner.next(&candidates, &Table).unwrap();
            for candidate in &mut candidates {
                candidate.waited += 1;
            }
            for id in batch.ids {
                let i = usize::try_from(id).unwrap();
                steps[i] += 1;
                candidates[i].waited = 0;
            }
        }
        assert_eq!(steps, [20; 6]);
    }

    #[test]
    fn keys_share_the_device_by_cost() {
        // Key 1 costs 16 times what key 0 does, so it gets a sixteenth of the steps: equal shares of time.
        let candidates = [candidate(0, 0, 1), candidate(1, 1, 1)];
        let mut planner = Planner::new();
        let mut steps = [0, 0];
        for _ in 0..340 {
            let batch = planner.next(&candidates, &Table).unwrap();
            steps[usize::from(batch.key == 1)] += 1;
        }
        assert!((318..=322).contains(&steps[0]), "{steps:?}");
    }
}
