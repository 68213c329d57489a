//! What clients share and may run out: memory, in bytes, and places, one by one.
//!
//! Invariant: never is more taken than there is, nor by one client more than its share; a permit gives back all it holds
//! when it is dropped, whatever happened in between.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::client::ClientId;
use crate::metrics;

/// Something that is limited, in all and for each client.
#[derive(Debug)]
pub(crate) struct Budget {
    capacity: u64,
    share: u64,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    all: u64,
    by_client: HashMap<ClientId, u64>,
}

impl Budget {
    /// `capacity` in all, of which one client may have `share`.
    pub(crate) fn new(capacity: u64, share: u64) -> Arc<Self> {
        let share = share.min(capacity);
        Arc::new(Self { capacity, share, taken: Mutex::default(), freed: Notify::new() })
    }

    /// A permit that holds nothing yet.
    pub(crate) fn permit(self: &Arc<Self>, client: ClientId) -> BudgetPermit {
        BudgetPermit { budget: self.clone(), client, held: Mutex::new(0) }
    }

    /// How much is taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.lock().all
    }

    /// Whether nothing is left.
    pub(crate) fn is_full(&self) -> bool {
        self.taken() >= self.capacity
    }

    fn try_take(&self, client: &ClientId, amount: u64) -> bool {
        let mut taken = self.taken.lock();
        let own = taken.by_client.get(client).copied().unwrap_or(0);
        let fits = taken.all.saturating_add(amount) <= self.capacity && own.saturating_add(amount) <= self.share;
        if fits {
            taken.all += amount;
            taken.by_client.insert(client.clone(), own + amount);
        }
        fits
    }

    fn give_back(&self, client: &ClientId, amount: u64) {
        let mut taken = self.taken.lock();
        taken.all = taken.all.saturating_sub(amount);
        if let Some(own) = taken.by_client.get_mut(client) {
            *own = own.saturating_sub(amount);
            if *own == 0 {
                taken.by_client.remove(client);
            }
        }
        drop(taken);
        self.freed.notify_waiters();
    }
}

/// A client's part of a budget, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct BudgetPermit {
    budget: Arc<Budget>,
    client: ClientId,
    held: Mutex<u64>,
}

impl BudgetPermit {
    /// Take `amount` more if it is there.
    pub(crate) fn try_grow(&self, amount: u64) -> bool {
        let mut held = self.held.lock();
        let taken = self.budget.try_take(&self.client, amount);
        *held += if taken { amount } else { 0 };
        taken
    }

    /// Take `amount` more as soon as it is there.
    pub(crate) async fn grow(&self, amount: u64) {
        loop {
            let freed = self.budget.freed.notified();
            tokio::pin!(freed);
            // From here on no release is missed.
            freed.as_mut().enable();
            if self.try_grow(amount) {
                return;
            }
            freed.await;
        }
    }

    /// Take `amount` more as soon as it is there, at most what the client's share leaves to this permit.
    pub(crate) async fn grow_to_share(&self, amount: u64) {
        self.grow(amount.min(self.budget.share.saturating_sub(self.held()))).await;
    }

    /// Take `amount` more, which is in use already, whether it is there or not.
    pub(crate) fn force_grow(&self, amount: u64) {
        let mut held = self.held.lock();
        let mut taken = self.budget.taken.lock();
        taken.all += amount;
        *taken.by_client.entry(self.client.clone()).or_default() += amount;
        *held += amount;
    }

    /// Show how much of the whole budget is taken.
    pub(crate) fn report(&self, gauge: &metrics::Gauge<0>) {
        gauge.set(self.budget.taken(), []);
    }

    /// Give back all but `amount`.
    pub(crate) fn shrink_to(&self, amount: u64) {
        let mut held = self.held.lock();
        let rest = held.saturating_sub(amount);
        if rest > 0 {
            *held = amount;
            self.budget.give_back(&self.client, rest);
        }
    }

    /// Whose it is.
    pub(crate) fn client(&self) -> &ClientId {
        &self.client
    }

    /// How much it holds.
    pub(crate) fn held(&self) -> u64 {
        *self.held.lock()
    }
}

impl Drop for BudgetPermit {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> ClientId {
        ClientId::Key(name.into())
    }

    #[tokio::test]
    async fn no_client_takes_more_than_its_share_and_all_comes_back() {
        let budget = Budget::new(100, 60);
        let (one, other) = (budget.permit(client("a")), budget.permit(client("a")));
        assert!(one.try_grow(40) && !other.try_grow(30), "two permits of one client share its share");
        let third = budget.permit(client("b"));
        assert!(third.try_grow(60) && !other.try_grow(1), "there is no more than there is");
        third.shrink_to(10);
        assert_eq!((budget.taken(), third.held()), (50, 10));

        let waiting = tokio::spawn(async move { other.grow(20).await });
        tokio::task::yield_now().await;
        assert!(waiting.is_finished() || budget.taken() == 50);
        waiting.await.unwrap();
        drop((one, third));
        assert_eq!(budget.taken(), 0);
        assert!(budget.taken.lock().by_client.is_empty(), "nothing is remembered of those who are gone");
    }
}
