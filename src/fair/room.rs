//! Something of which there is so much: bytes, or places. Owners take of it, and wait for it in turns.
//!
//! Invariants: what is held together stays within the bound. Owners who wait for it take turns, by how much they get,
//! and each gets it in the order in which it asks; the first of all gets it or nothing does, so that a large piece is not
//! passed for ever. An owner that has its share stands aside.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::turns::{FairTurns, is_within_share};

/// The bound, and what is left of it. Clones share it.
#[derive(Debug)]
pub struct FairRoom<O: Ord + Clone> {
    total: u64,
    /// So much an owner may hold, whatever is left for others.
    least: u64,
    shared: Arc<Mutex<Shared<O>>>,
}

impl<O: Ord + Clone> Clone for FairRoom<O> {
    fn clone(&self) -> Self {
        Self { total: self.total, least: self.least, shared: self.shared.clone() }
    }
}

#[derive(Debug)]
struct Shared<O: Ord + Clone> {
    free: u64,
    held: BTreeMap<O, u64>,
    waiting: BTreeMap<O, VecDeque<Waiting<O>>>,
    turns: FairTurns<O>,
}

#[derive(Debug)]
struct Waiting<O: Ord + Clone> {
    amount: u64,
    granted: oneshot::Sender<FairPermit<O>>,
}

/// An owner's part, given back when dropped.
#[derive(Debug)]
pub struct FairPermit<O: Ord + Clone> {
    owner: O,
    amount: u64,
    room: FairRoom<O>,
}

/// One that stops waiting may have been the first, before others for whom there is room.
struct Leaving<'a, O: Ord + Clone>(&'a FairRoom<O>);

impl<O: Ord + Clone> Drop for Leaving<'_, O> {
    fn drop(&mut self) {
        self.0.grant();
    }
}

impl<O: Ord + Clone> FairRoom<O> {
    /// So much, of which no owner holds all but with its first piece.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self::with_least(total, 0)
    }

    /// So much, all of which an owner may hold until it is another's turn: for what is soon given back.
    #[must_use]
    pub fn without_shares(total: u64) -> Self {
        Self::with_least(total, u64::MAX)
    }

    fn with_least(total: u64, least: u64) -> Self {
        let (held, waiting, turns) = (BTreeMap::new(), BTreeMap::new(), FairTurns::default());
        Self { total, least, shared: Arc::new(Mutex::new(Shared { free: total, held, waiting, turns })) }
    }

    /// How much there is in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether there can ever be as much.
    #[must_use]
    pub fn allows(&self, amount: u64) -> bool {
        amount <= self.total
    }

    /// Wait for room. For more than there is in all, one gets all there is. Always `Some`, but while the process ends.
    pub async fn take(&self, owner: &O, amount: u64) -> Option<FairPermit<O>> {
        let (granted, permit) = oneshot::channel();
        let waiting = Waiting { amount: amount.min(self.total), granted };
        self.shared.lock().waiting.entry(owner.clone()).or_default().push_back(waiting);
        // Dropped after what waits.
        let _leaving = Leaving(self);
        self.grant();
        permit.await.ok()
    }

    /// Give what there is to those whose turn it is.
    fn grant(&self) {
        let mut granted = Vec::new();
        {
            let mut shared = self.shared.lock();
            while let Some((owner, Waiting { amount, granted: sender })) = shared.next(self.least) {
                granted.push((sender, FairPermit { owner, amount, room: self.clone() }));
            }
        }
        for (sender, permit) in granted {
            // One that does not wait any more gives it back, which grants it to others.
            let _ = sender.send(permit);
        }
    }

    fn give_back(&self, owner: &O, amount: u64) {
        {
            let mut shared = self.shared.lock();
            shared.free = shared.free.saturating_add(amount);
            if let Some(held) = shared.held.get_mut(owner) {
                *held = held.saturating_sub(amount);
                if *held == 0 {
                    shared.held.remove(owner);
                }
            }
        }
        self.grant();
    }
}

impl<O: Ord + Clone> Shared<O> {
    /// The first that waits, if there is room for it; what it takes is taken.
    fn next(&mut self, least: u64) -> Option<(O, Waiting<O>)> {
        self.waiting.retain(|_, queue| {
            queue.retain(|waiting| !waiting.granted.is_closed());
            !queue.is_empty()
        });
        let held = |owner: &O| self.held.get(owner).copied().unwrap_or(0);
        let heads = self.waiting.iter().filter_map(|(owner, queue)| Some((owner, queue.front()?.amount)));
        let with_share = heads.filter(|(owner, amount)| is_within_share(held(owner), *amount, self.free, least));
        let first = with_share.min_by(|(a, _), (b, _)| self.turns.start(a).total_cmp(&self.turns.start(b)));
        let (owner, amount) = first.map(|(owner, amount)| (owner.clone(), amount))?;
        if amount > self.free {
            return None;
        }
        let waiting = self.waiting.get_mut(&owner)?.pop_front()?;
        self.free -= amount;
        *self.held.entry(owner.clone()).or_default() += amount;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        self.turns.charge(&owner, amount as f64);
        Some((owner, waiting))
    }
}

impl<O: Ord + Clone> FairPermit<O> {
    /// Give back all but `amount`.
    pub fn shrink_to(&mut self, amount: u64) {
        let rest = self.amount.saturating_sub(amount);
        self.amount -= rest;
        self.room.give_back(&self.owner, rest);
    }
}

impl<O: Ord + Clone> Drop for FairPermit<O> {
    fn drop(&mut self) {
        self.room.give_back(&self.owner, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_waits_for_room_and_one_that_asks_for_more_gets_all() {
        let room = FairRoom::new(10);
        assert!(room.allows(10) && !room.allows(11));
        let mut first = room.take(&"me", 6).await.unwrap();
        let second = tokio::spawn({
            let room = room.clone();
            async move { room.take(&"me", 50).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        first.shrink_to(2);
        assert_eq!(room.shared.lock().free, 8);
        drop(first);
        assert!(second.await.unwrap());
        assert_eq!(room.shared.lock().free, 10);
    }

    #[tokio::test]
    async fn others_have_room_beside_a_flood_and_who_gave_up_takes_none() {
        let room = FairRoom::new(64);
        let take = |owner: &'static str, amount: u64| {
            let room = room.clone();
            tokio::spawn(async move { room.take(&owner, amount).await })
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
        assert!(room.take(&"me", 64).await.is_some());
        let shared = room.shared.lock();
        assert_eq!((shared.free, shared.held.len(), shared.waiting.len()), (64, 0, 0));
    }

    #[tokio::test]
    async fn without_shares_one_has_all_until_another_comes() {
        let room = FairRoom::without_shares(2);
        let mut held = vec![room.take(&"flood", 1).await, room.take(&"flood", 1).await];
        let mut flood: Vec<_> = (0..3).map(|_| Box::pin(room.take(&"flood", 1))).collect();
        for waits in &mut flood {
            assert!(futures_util::poll!(waits).is_pending());
        }
        let mut other = Box::pin(room.take(&"you", 1));
        assert!(futures_util::poll!(&mut other).is_pending());
        held.pop();
        assert!(futures_util::poll!(&mut other).is_ready());
    }

    #[tokio::test]
    async fn those_behind_one_that_gives_up_are_served() {
        let room = FairRoom::without_shares(10);
        let _held = room.take(&"me", 5).await;
        let mut large = Box::pin(room.take(&"me", 10));
        let mut small = Box::pin(room.take(&"me", 5));
        assert!(futures_util::poll!(&mut large).is_pending() && futures_util::poll!(&mut small).is_pending());
        drop(large);
        assert!(futures_util::poll!(&mut small).is_ready());
    }
}
