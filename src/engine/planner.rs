//! Which samples take the next step together.
//!
//! Pure: no tensors, no clock, no randomness. Given the same calls it gives the same answers. Invariants: a batch has one
//! key and at most its cap of rows (one sample always fits). Owners of samples take turns in choosing, by what the steps that
//! they chose cost ([`FairTurns`]), those with the highest level first: the level is the highest priority of an owner's samples,
//! raised by waiting for those of a higher one. What an owner chooses holds the most urgent of its samples, where urgency is priority raised by waiting;
//! its keys that are equally urgent share its turns in proportion to what their steps cost (deficit round robin, Shreedhar &
//! Varghese 1995), and samples within a key take turns, so a short job that arrives behind long ones joins the next round and
//! not the end of the line. Others' samples of the key step along, one of each owner after the other while they fit.
//!
//! So the only sample of an owner, beside any number of those of others, is in every batch of its key that has room for one of
//! each; where their keys are others, it has as much of the device as each of them.
//!
//! No sample starves: its owner chooses again once each other one of its level has had what the last choice cost, and at most
//! one step more, beside [`LEVELS`] times [`ROUNDS_PER_LEVEL`] steps of higher levels. And it waits for at most as many choices of
//! its owner, and then one for each sample of the owner that was in flight at that time. (The wait counter of a stepped sample is reset, so it is less urgent than one that was passed over that long, and
//! so is a sample that arrives later.)

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::fair::FairTurns;

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
    /// Whose it is.
    pub owner: u64,
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

/// Whose turn it is.
#[derive(Debug)]
pub struct Planner<K> {
    /// Of each owner with work.
    owners: BTreeMap<u64, Owner<K>>,
    turns: FairTurns<u64>,
}

/// An owner's turns: a round robin of its keys.
#[derive(Debug)]
struct Owner<K> {
    /// The highest priority of its samples.
    priority: u8,
    /// Choices of owners of a higher priority since its last one.
    passed: u64,
    /// Unused credit per key with work.
    credit: BTreeMap<K, f64>,
    /// The sample of each key that went last: among equals it is the turn of those behind it.
    cursor: BTreeMap<K, u64>,
    /// The key whose turn it was last.
    last: Option<K>,
}

impl<K> Default for Owner<K> {
    fn default() -> Self {
        Self { priority: 0, passed: 0, credit: BTreeMap::new(), cursor: BTreeMap::new(), last: None }
    }
}

impl<K> Owner<K> {
    /// What its waiting adds to its priority.
    fn raised(&self) -> u64 {
        self.passed / ROUNDS_PER_LEVEL
    }
}

type Members<'a, K> = BTreeMap<u64, Vec<&'a Candidate<K>>>;

impl<K> Default for Planner<K> {
    fn default() -> Self {
        Self { owners: BTreeMap::new(), turns: FairTurns::default() }
    }
}

impl<K: Copy + Ord> Planner<K> {
    /// A planner that has not chosen a batch yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next batch, or None where there is nothing to do.
    pub fn next(&mut self, candidates: &[Candidate<K>], costs: &impl Costs<K>) -> Option<Batch<K>> {
        let mut by_owner: Members<'_, K> = BTreeMap::new();
        for candidate in candidates {
            by_owner.entry(candidate.owner).or_default().push(candidate);
        }
        self.owners.retain(|owner, _| by_owner.contains_key(owner));
        for (owner, own) in &by_owner {
            let state = self.owners.entry(*owner).or_default();
            state.priority = own.iter().map(|candidate| candidate.priority).max().unwrap_or(0);
            // A key without work loses its credit: it must not save up while it is idle.
            let has_work = |key: &K| own.iter().any(|candidate| candidate.key == *key);
            state.credit.retain(|key, _| has_work(key));
            state.cursor.retain(|key, _| has_work(key));
        }
        let owner = self.next_owner()?;
        let own = by_owner.get(&owner)?;
        let most_urgent = own.iter().map(|candidate| candidate.urgency()).max()?;
        let mut choices: BTreeMap<K, Choice<K>> = BTreeMap::new();
        for candidate in own.iter().filter(|candidate| candidate.urgency() == most_urgent) {
            let key = candidate.key;
            choices.entry(key).or_insert_with(|| self.choose(key, owner, &by_owner, costs));
        }
        let state = self.owners.get_mut(&owner)?;
        let key = state.next_key(&choices)?;
        let choice = choices.remove(&key)?;
        self.turns.charge(&owner, choice.cost);
        let priority = self.owners.get(&owner)?.priority;
        for (other, state) in &mut self.owners {
            state.passed = if *other == owner { 0 } else { state.passed + u64::from(state.priority < priority) };
        }
        for (owner, sample) in choice.went_last {
            if let Some(state) = self.owners.get_mut(&owner) {
                state.cursor.insert(key, sample);
            }
        }
        Some(choice.batch)
    }

    /// Of the owners with the highest level the one that had the least.
    fn next_owner(&self) -> Option<u64> {
        let level = |owner: &Owner<K>| u64::from(owner.priority) + owner.raised();
        let highest = self.owners.values().map(level).max()?;
        let of_level = self.owners.iter().filter(|(_, owner)| level(owner) == highest).map(|(owner, _)| owner);
        of_level.min_by(|a, b| self.turns.start(a).total_cmp(&self.turns.start(b))).copied()
    }

    /// What an owner would do if it were this key's turn: its first sample, and those that go first of all owners, in turns,
    /// up to the cap.
    fn choose(&self, key: K, owner: u64, by_owner: &Members<'_, K>, costs: &impl Costs<K>) -> Choice<K> {
        let mut lines: Vec<OwnLine<'_, K>> = by_owner.iter().map(|(owner, own)| self.line(key, *owner, own)).collect();
        let cap = costs.cap(key);
        let mut batch = Batch { key, ids: Vec::new(), rows: 0 };
        loop {
            let is_first = batch.ids.is_empty();
            let next = lines.iter_mut().filter_map(|line| {
                let head = line.members.front()?;
                let goes_on = is_first && line.owner == owner;
                Some((!goes_on, Reverse(u64::from(head.priority) + line.raised), line.rows, line))
            });
            let order = |(a, b, c, line): &(bool, Reverse<u64>, usize, &mut OwnLine<'_, K>)| (*a, *b, *c, line.owner);
            let Some((.., line)) = next.min_by_key(order) else { break };
            let Some(member) = line.members.pop_front() else { break };
            if is_first || batch.rows + member.rows <= cap {
                batch.ids.push(member.id);
                batch.rows += member.rows;
                line.rows += member.rows;
                line.went_last = Some(member.id);
            }
        }
        batch.ids.sort_unstable();
        let went_last = lines.iter().filter_map(|line| Some((line.owner, line.went_last?))).collect();
        let cost = costs.cost(key, batch.rows).max(f64::MIN_POSITIVE);
        Choice { batch, went_last, cost }
    }

    /// An owner's samples of a key, in the order in which they go.
    fn line<'a>(&self, key: K, owner: u64, own: &[&'a Candidate<K>]) -> OwnLine<'a, K> {
        let state = self.owners.get(&owner);
        let cursor = state.and_then(|state| state.cursor.get(&key).copied());
        let had_its_turn = |member: &Candidate<K>| cursor.is_some_and(|cursor| member.id <= cursor);
        let mut members: Vec<&Candidate<K>> = own.iter().filter(|candidate| candidate.key == key).copied().collect();
        members
            .sort_by_key(|member| (Reverse(member.urgency()), Reverse(member.waited), had_its_turn(member), member.id));
        OwnLine { owner, members: members.into(), raised: state.map_or(0, Owner::raised), rows: 0, went_last: None }
    }
}

impl<K: Copy + Ord> Owner<K> {
    /// Whose turn it is of its keys, which pays for it.
    fn next_key(&mut self, choices: &BTreeMap<K, Choice<K>>) -> Option<K> {
        // The dearest batch's cost as the quantum: every key can afford its batch after one turn.
        let quantum = choices.values().map(|choice| choice.cost).fold(0.0, f64::max);
        // The key whose turn it was goes on while its credit lasts.
        let goes_on = self.last.filter(|last| {
            let credit = self.credit.get(last).copied().unwrap_or(0.0);
            choices.get(last).is_some_and(|choice| credit >= choice.cost)
        });
        let key = match (goes_on, self.last) {
            (Some(last), _) => last,
            (None, Some(last)) => *choices.range((Bound::Excluded(last), Bound::Unbounded)).chain(choices).next()?.0,
            (None, None) => *choices.first_key_value()?.0,
        };
        let cost = choices.get(&key)?.cost;
        let credit = self.credit.entry(key).or_insert(0.0);
        if goes_on.is_none() {
            // What is left of earlier turns that more urgent work cut short is no more than one turn.
            *credit = credit.min(quantum) + quantum;
        }
        *credit -= cost;
        self.last = Some(key);
        Some(key)
    }
}

/// What a key would do if it were its turn.
struct Choice<K> {
    batch: Batch<K>,
    /// Owners in it, and their samples that go last.
    went_last: Vec<(u64, u64)>,
    cost: f64,
}

/// An owner's samples of a key.
struct OwnLine<'a, K> {
    owner: u64,
    members: VecDeque<&'a Candidate<K>>,
    raised: u64,
    /// Those that were chosen.
    rows: usize,
    went_last: Option<u64>,
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

    /// A job: arrival round, key, owner, rows, priority and steps.
    #[derive(Debug, Clone)]
    struct Job {
        arrival: u64,
        key: u8,
        owner: u64,
        rows: usize,
        priority: u8,
        steps: u64,
    }

    /// Of so many owners.
    fn jobs(owners: u64) -> impl Strategy<Value = Vec<Job>> {
        let job = (0..200_u64, 0..4_u8, 0..owners, 1..=CAP + 2, 0..3_u8, 1..20_u64).prop_map(
            |(arrival, key, owner, rows, priority, steps)| Job { arrival, key, owner, rows, priority, steps },
        );
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
                    owner: job.owner,
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
        fn batches_have_one_key_and_keep_the_cap(jobs in jobs(4)) {
            for Round { batch, .. } in simulate(&jobs) {
                let members: Vec<&Job> = batch.ids.iter().map(|id| &jobs[usize::try_from(*id).unwrap()]).collect();
                prop_assert!(members.iter().all(|job| job.key == batch.key));
                let rows: usize = members.iter().map(|job| job.rows).sum();
                prop_assert_eq!(rows, batch.rows);
                prop_assert!(rows <= CAP || members.len() == 1);
            }
        }

        #[test]
        fn the_same_arrivals_give_the_same_batches(jobs in jobs(4)) {
            prop_assert_eq!(simulate(&jobs), simulate(&jobs));
        }

        #[test]
        fn no_sample_waits_longer_than_the_stated_bound(jobs in jobs(1)) {
            // At most 40 jobs are in flight.
            let bound = LEVELS * ROUNDS_PER_LEVEL + jobs.len() as u64;
            for Round { candidates, .. } in simulate(&jobs) {
                for candidate in candidates {
                    prop_assert!(candidate.waited <= bound, "{candidate:?}, {} jobs", jobs.len());
                }
            }
        }

        #[test]
        fn no_owner_waits_longer_than_the_stated_bound(jobs in jobs(4)) {
            // Each of three others has at most what its own dearest step costs and one more; and as many of higher levels.
            let bound = Table.cost(3, CAP + 2) * (3.0 * 2.0 + 48.0);
            let mut waited = [0.0; 4];
            for Round { candidates, batch } in simulate(&jobs) {
                for (owner, waited) in (0..).zip(&mut waited) {
                    let is_there = candidates.iter().any(|c| c.owner == owner);
                    let steps = candidates.iter().any(|c| c.owner == owner && batch.ids.contains(&c.id));
                    *waited = if is_there && !steps { *waited + Table.cost(batch.key, batch.rows) } else { 0.0 };
                    prop_assert!(*waited <= bound, "{owner}: {waited}");
                }
            }
        }

        #[test]
        fn nothing_less_urgent_goes_while_something_more_urgent_could(jobs in jobs(1)) {
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
        Candidate { id, key, owner: 0, rows: 2, priority, waited: 0 }
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

    /// Step until sample 0 has taken so many steps; gives how many rounds that took, and what they cost.
    fn rounds_until(candidates: &mut [Candidate<u8>], steps: u32) -> (u32, f64) {
        let mut planner = Planner::new();
        let (mut left, mut rounds, mut cost) = (steps, 0, 0.0);
        // The others were there before.
        for _ in 0..100 {
            planner.next(&candidates[1..], &Table).unwrap();
        }
        while left > 0 {
            let batch = planner.next(candidates, &Table).unwrap();
            for candidate in &mut *candidates {
                candidate.waited = if batch.ids.contains(&candidate.id) { 0 } else { candidate.waited + 1 };
            }
            (rounds, cost) = (rounds + 1, cost + Table.cost(batch.key, batch.rows));
            left -= u32::from(batch.ids.contains(&0));
        }
        (rounds, cost)
    }

    #[test]
    fn the_only_sample_of_an_owner_is_in_each_batch_beside_a_flood_of_its_key() {
        let flood = (1..60).map(|id| Candidate { owner: 1, ..candidate(id, 2, 1) });
        let mut candidates: Vec<_> = std::iter::once(candidate(0, 2, 1)).chain(flood).collect();
        assert_eq!(rounds_until(&mut candidates, 50).0, 50);
    }

    #[test]
    fn beside_floods_of_other_keys_an_owner_has_its_share_of_the_device() {
        // Each of three floods has samples of all keys, the dearest of which costs 256 times what that of the only sample does.
        let flood = (1..60)
            .map(|id| Candidate { owner: 1 + id % 3, ..candidate(id, 1 + u8::try_from(id / 3 % 3).unwrap(), 1) });
        let mut candidates: Vec<_> = std::iter::once(candidate(0, 0, 1)).chain(flood).collect();
        let (_, cost) = rounds_until(&mut candidates, 3000);
        let (own, dearest) = (3000.0 * Table.cost(0, 2), Table.cost(3, CAP));
        assert!((2.0 * own..=4.0 * (own + dearest)).contains(&cost), "{cost} for {own}");
    }

    #[test]
    fn an_owner_of_higher_priority_goes_first_but_not_for_ever() {
        let urgent = (1..9).map(|id| Candidate { owner: 1, ..candidate(id, 1, 2) });
        let mut candidates: Vec<_> = std::iter::once(candidate(0, 0, 0)).chain(urgent).collect();
        let (rounds, _) = rounds_until(&mut candidates, 3);
        assert!((2 * 32..=3 * 50).contains(&rounds), "{rounds}");
    }
}
