//! How many jobs each owner has waiting or running here.
//!
//! Invariant: what is counted is given back exactly once, when its [`OwnerPermit`] is dropped; owners without jobs take no memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Numbers of jobs by owner.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owners(Arc<Mutex<HashMap<String, u32>>>);

/// One job of an owner.
#[derive(Debug)]
pub(crate) struct OwnerPermit {
    owner: String,
    owners: Owners,
}

impl Owners {
    /// Count a job, unless its owner has `most` already.
    pub(crate) fn admit(&self, owner: &str, most: Option<u32>) -> Option<OwnerPermit> {
        let mut owners = self.0.lock();
        let jobs = owners.get(owner).copied().unwrap_or(0);
        most.is_none_or(|most| jobs < most).then(|| self.count(&mut owners, owner))
    }

    /// Count a job that was accepted before.
    pub(crate) fn readmit(&self, owner: &str) -> OwnerPermit {
        self.count(&mut self.0.lock(), owner)
    }

    fn count(&self, owners: &mut HashMap<String, u32>, owner: &str) -> OwnerPermit {
        *owners.entry(owner.to_owned()).or_default() += 1;
        OwnerPermit { owner: owner.to_owned(), owners: self.clone() }
    }
}

impl Drop for OwnerPermit {
    fn drop(&mut self) {
        let mut owners = self.owners.0.lock();
        match owners.get_mut(&self.owner) {
            Some(jobs) if *jobs > 1 => *jobs -= 1,
            _ => drop(owners.remove(&self.owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_a_bound_of_its_own_and_leaves_nothing_behind() {
        let owners = Owners::default();
        let first = owners.admit("me", Some(2)).unwrap();
        let second = owners.admit("me", Some(2)).unwrap();
        assert!(owners.admit("me", Some(2)).is_none());
        // What was accepted before a restart counts, whatever the bound.
        let adopted = owners.readmit("me");
        drop(first);
        assert!(owners.admit("me", Some(2)).is_none());
        let other = owners.admit("other", Some(1)).unwrap();
        drop((second, adopted, other));
        assert!(owners.0.lock().is_empty());
    }
}
