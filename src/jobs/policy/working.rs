//! Memory for jobs while they are executed.
//!
//! Invariants: what jobs in execution take together stays within the bound. Owners whose jobs wait for it take turns, by bytes,
//! and each owner's jobs get it in the order in which they ask; the first of all gets it or nothing does, so that a large one is not
//! passed for ever. An owner that has its share stands aside.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::fair::{FairTurns, is_within_share};

/// The bound, and what is left of it.
#[derive(Debug, Clone)]
pub(crate) struct WorkingMemory {
    total: u64,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    free: u64,
    /// By owner.
    held: HashMap<Arc<str>, u64>,
    waiting: BTreeMap<Arc<str>, VecDeque<Waiting>>,
    turns: FairTurns<Arc<str>>,
}

#[derive(Debug)]
struct Waiting {
    bytes: u64,
    granted: oneshot::Sender<WorkingPermit>,
}

/// A job's share, given back when dropped.
#[derive(Debug)]
pub(crate) struct WorkingPermit {
    owner: Arc<str>,
    bytes: u64,
    memory: WorkingMemory,
}

impl WorkingMemory {
    /// A bound of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let (held, waiting, turns) = (HashMap::new(), BTreeMap::new(), FairTurns::default());
        Self { total: bytes, shared: Arc::new(Mutex::new(Shared { free: bytes, held, waiting, turns })) }
    }

    /// Whether a job that takes so many bytes may be executed at all.
    pub(crate) fn allows(&self, bytes: u64) -> bool {
        bytes <= self.total
    }

    /// Wait for room for a job. One that takes more with its images, or was accepted under a larger bound, gets all there is.
    pub(crate) async fn take(&self, owner: &str, bytes: u64) -> Option<WorkingPermit> {
        let (granted, permit) = oneshot::channel();
        let waiting = Waiting { bytes: bytes.min(self.total), granted };
        self.shared.lock().waiting.entry(owner.into()).or_default().push_back(waiting);
        self.grant();
        permit.await.ok()
    }

    /// Give what there is to those whose turn it is.
    fn grant(&self) {
        let mut granted = Vec::new();
        {
            let mut shared = self.shared.lock();
            while let Some((owner, Waiting { bytes, granted: sender })) = shared.next() {
                granted.push((sender, WorkingPermit { owner, bytes, memory: self.clone() }));
            }
        }
        for (sender, permit) in granted {
            // Whose job does not wait any more gives it back, which grants it to others.
            let _ = sender.send(permit);
        }
    }
}

impl Shared {
    /// The first that waits, if there is room for it; what it takes is taken.
    fn next(&mut self) -> Option<(Arc<str>, Waiting)> {
        self.waiting.retain(|_, queue| {
            queue.retain(|waiting| !waiting.granted.is_closed());
            !queue.is_empty()
        });
        let held = |owner: &Arc<str>| self.held.get(owner).copied().unwrap_or(0);
        let heads = self.waiting.iter().filter_map(|(owner, queue)| Some((owner, queue.front()?.bytes)));
        let with_share = heads.filter(|(owner, bytes)| is_within_share(held(owner), *bytes, self.free, 0));
        let first = with_share.min_by(|(a, _), (b, _)| self.turns.start(a).total_cmp(&self.turns.start(b)));
        let (owner, bytes) = first.map(|(owner, bytes)| (owner.clone(), bytes))?;
        if bytes > self.free {
            return None;
        }
        let waiting = self.waiting.get_mut(&owner)?.pop_front()?;
        self.free -= bytes;
        *self.held.entry(owner.clone()).or_default() += bytes;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        self.turns.charge(&owner, bytes as f64);
        Some((owner, waiting))
    }
}

impl Drop for WorkingPermit {
    fn drop(&mut self) {
        {
            let mut shared = self.memory.shared.lock();
            shared.free = shared.free.saturating_add(self.bytes);
            if let Some(held) = shared.held.get_mut(&self.owner) {
                *held = held.saturating_sub(self.bytes);
                if *held == 0 {
                    shared.held.remove(&self.owner);
                }
            }
        }
        self.memory.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_wait_for_room_and_one_of_before_runs_alone() {
        let memory = WorkingMemory::new(10);
        assert!(memory.allows(10) && !memory.allows(11));
        let first = memory.take("me", 6).await;
        let second = tokio::spawn({
            let memory = memory.clone();
            async move { memory.take("me", 50).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap());
        assert_eq!(memory.shared.lock().free, 10);
    }

    #[tokio::test]
    async fn others_have_room_beside_a_flood_and_who_gave_up_takes_none() {
        let memory = WorkingMemory::new(64);
        let take = |owner: &'static str, bytes: u64| {
            let memory = memory.clone();
            tokio::spawn(async move { memory.take(owner, bytes).await })
        };
        let flood: Vec<_> = (0..100).map(|_| take("flood", 8)).collect();
        tokio::task::yield_now().await;
        let at_once = tokio::time::timeout(std::time::Duration::from_mins(1), take("you", 8)).await.unwrap();
        assert!(at_once.unwrap().is_some());
        for waits in &flood {
            waits.abort();
        }
        for waits in flood {
            // Those that had room give it back here.
            drop(waits.await);
        }
        assert!(memory.take("me", 64).await.is_some());
        let shared = memory.shared.lock();
        assert_eq!((shared.free, shared.held.len(), shared.waiting.len()), (64, 0, 0));
    }
}
