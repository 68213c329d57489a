//! Whose turn it is among owners who share something, by what each has had of it: start-time fair queueing (Goyal, Vin & Cheng
//! 1996), and a bound on what each holds at a time (dynamic thresholds, Choudhury & Hahne 1998).
//!
//! Pure. Invariants: two owners who both wait all the time have had the same, but for one of the largest pieces of each; who was
//! away has saved nothing up and owes nothing; however much an owner asks for, a part of what is shared stays free for others.

use std::collections::BTreeMap;

/// What has been had. Not of the past: an owner's entry goes once the others have had as much.
#[derive(Debug, Clone)]
pub struct FairTurns<O> {
    /// Where the last one who had something started.
    now: f64,
    /// Where each ended that is ahead of that.
    ends: BTreeMap<O, f64>,
}

impl<O> Default for FairTurns<O> {
    fn default() -> Self {
        Self { now: 0.0, ends: BTreeMap::new() }
    }
}

impl<O: Ord + Clone> FairTurns<O> {
    /// Where an owner starts: it is the turn of the one with the smallest.
    pub fn start(&self, owner: &O) -> f64 {
        self.ends.get(owner).map_or(self.now, |end| end.max(self.now))
    }

    /// An owner has had something of this cost. Those whom it went before although they start earlier are not owed for it.
    pub fn charge(&mut self, owner: &O, cost: f64) {
        let start = self.start(owner);
        self.now = start;
        self.ends.insert(owner.clone(), start + cost);
        self.ends.retain(|_, end| *end > start);
    }
}

/// An owner holds at most so many times what it leaves free.
const TIMES_WHAT_IS_FREE: u64 = 7;

/// Whether an owner that holds this much may have more, of what is free; up to `least` it always may.
#[must_use]
pub fn is_within_share(held: u64, wanted: u64, free: u64, least: u64) -> bool {
    let (after, left) = (held.saturating_add(wanted), free.saturating_sub(wanted));
    held == 0 || after <= least.max(left.saturating_mul(TIMES_WHAT_IS_FREE))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serve the owner whose turn it is, so many times; gives how often each was served. All of `a`'s cost 3, of the others 1.
    fn serve(turns: &mut FairTurns<char>, owners: &[char], times: usize) -> Vec<usize> {
        let mut had = vec![0; owners.len()];
        for _ in 0..times {
            let starts = owners.iter().enumerate().map(|(i, owner)| (turns.start(owner), i));
            let (_, i) = starts.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            turns.charge(&owners[i], if owners[i] == 'a' { 3.0 } else { 1.0 });
            had[i] += 1;
        }
        had
    }

    #[test]
    fn owners_have_the_same_by_cost_and_who_comes_goes_first() {
        let mut turns = FairTurns::default();
        assert_eq!(serve(&mut turns, &['a'], 100), [100]);
        assert!(turns.start(&'b') < turns.start(&'a'), "it owes nothing for the time before it came");
        assert_eq!(serve(&mut turns, &['a', 'b'], 400), [100, 300]);
        assert_eq!(serve(&mut turns, &['a', 'b', 'c'], 700), [100, 300, 300]);
        // c was away, and has saved nothing up.
        serve(&mut turns, &['a', 'b'], 400);
        assert_eq!(serve(&mut turns, &['a', 'b', 'c'], 700), [100, 300, 300]);
        serve(&mut turns, &['c'], 10);
        assert_eq!(turns.ends.len(), 1, "who is not ahead is not remembered");
    }

    #[test]
    fn each_owner_leaves_a_part_free() {
        let hold = |held: &mut [u64], i: usize| {
            while is_within_share(held[i], 1, 64 - held.iter().sum::<u64>(), 4) && held.iter().sum::<u64>() < 64 {
                held[i] += 1;
            }
        };
        let mut held = [0; 3];
        (0..3).for_each(|i| hold(&mut held, i));
        assert_eq!(held, [56, 7, 1]);
        // The first one's are done, and it asks for more.
        held[0] = 0;
        (1..3).for_each(|i| hold(&mut held, i));
        hold(&mut held, 0);
        assert!(held.iter().all(|held| *held > 0), "{held:?}");
        assert!(is_within_share(0, 64, 64, 4) && is_within_share(3, 1, 1, 4) && !is_within_share(4, 1, 1, 4));
    }
}
