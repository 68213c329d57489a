//! What each owner has waiting or running here.
//!
//! Invariant: what is counted is given back exactly once, when its [`OwnerPermit`] is dropped; owners without jobs take no memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::admission::{Demand, Held};

#[derive(Debug, Default)]
struct Owned {
    held: Held,
    /// Of each job.
    costs: Vec<u64>,
}

/// What is held, by owner.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owners(Arc<Mutex<HashMap<String, Owned>>>);

/// One job of an owner.
#[derive(Debug)]
pub(crate) struct OwnerPermit {
    owner: String,
    demand: Demand,
    owners: Owners,
}

impl Owners {
    /// Count a job, unless its owner has `most` already.
    pub(crate) fn admit(&self, owner: &str, demand: Demand, most: Option<u32>) -> Option<OwnerPermit> {
        let mut owners = self.0.lock();
        let jobs = owners.get(owner).map_or(0, |owned| owned.held.jobs);
        most.is_none_or(|most| jobs < u64::from(most)).then(|| self.count(&mut owners, owner, demand))
    }

    /// Count a job that was accepted before.
    pub(crate) fn readmit(&self, owner: &str, demand: Demand) -> OwnerPermit {
        self.count(&mut self.0.lock(), owner, demand)
    }

    /// What an owner holds.
    pub(crate) fn held(&self, owner: &str) -> Held {
        self.0.lock().get(owner).map(|owned| owned.held).unwrap_or_default()
    }

    /// The cost that is done of an owner's other jobs before one of this cost is done, if they share the device evenly.
    pub(crate) fn cost_before(&self, owner: &str, cost: u64) -> u64 {
        let owners = self.0.lock();
        let Some(owned) = owners.get(owner) else { return 0 };
        let all = owned.costs.iter().fold(0, |sum: u64, other| sum.saturating_add((*other).min(cost)));
        // It is one of them.
        all.saturating_sub(cost)
    }

    fn count(&self, owners: &mut HashMap<String, Owned>, owner: &str, demand: Demand) -> OwnerPermit {
        let Owned { held, costs } = owners.entry(owner.to_owned()).or_default();
        held.jobs += 1;
        held.cost = held.cost.saturating_add(demand.cost);
        held.input_bytes += demand.input_bytes;
        costs.push(demand.cost);
        OwnerPermit { owner: owner.to_owned(), demand, owners: self.clone() }
    }
}

impl OwnerPermit {
    /// Give the bytes back early: the pixels are not held any longer.
    pub(crate) fn release_input(&mut self) {
        if let Some(owned) = self.owners.0.lock().get_mut(&self.owner) {
            owned.held.input_bytes = owned.held.input_bytes.saturating_sub(self.demand.input_bytes);
        }
        self.demand.input_bytes = 0;
    }
}

impl Drop for OwnerPermit {
    fn drop(&mut self) {
        let mut owners = self.owners.0.lock();
        let Some(Owned { held, costs }) = owners.get_mut(&self.owner) else { return };
        held.jobs = held.jobs.saturating_sub(1);
        held.cost = held.cost.saturating_sub(self.demand.cost);
        held.input_bytes = held.input_bytes.saturating_sub(self.demand.input_bytes);
        if let Some(at) = costs.iter().position(|cost| *cost == self.demand.cost) {
            costs.swap_remove(at);
        }
        if held.jobs == 0 {
            owners.remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(cost: u64) -> Demand {
        Demand { cost, input_bytes: 0 }
    }

    #[test]
    fn each_owner_has_a_bound_of_its_own_and_leaves_nothing_behind() {
        let owners = Owners::default();
        let first = owners.admit("me", demand(1), Some(2)).unwrap();
        let second = owners.admit("me", demand(1), Some(2)).unwrap();
        assert!(owners.admit("me", demand(1), Some(2)).is_none());
        // What was accepted before a restart counts, whatever the bound.
        let adopted = owners.readmit("me", demand(1));
        drop(first);
        assert!(owners.admit("me", demand(1), Some(2)).is_none());
        let other = owners.admit("other", demand(1), Some(1)).unwrap();
        drop((second, adopted, other));
        assert!(owners.0.lock().is_empty());
    }

    #[test]
    fn a_job_has_the_smaller_ones_and_its_equals_before_it_and_a_part_of_the_larger_ones() {
        let owners = Owners::default();
        let _held: Vec<_> = [100, 100, 1].map(|cost| owners.readmit("me", demand(cost))).into();
        let _short = owners.readmit("me", demand(2));
        assert_eq!(owners.cost_before("me", 2), 2 + 2 + 1);
        let _long = owners.readmit("me", demand(100));
        assert_eq!(owners.cost_before("me", 100), 100 + 100 + 1 + 2);
        assert_eq!(owners.cost_before("them", 100), 0);
    }
}
