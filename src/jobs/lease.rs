//! Keeps the leases of this process, and recovers jobs whose leases others let end.
//!
//! Invariants: a run whose claim is not the newest any more is stopped within one interval; a claim that the store has and this
//! process does not know of, since the store's answer was lost, is given back within two.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::policy::OutageWatch;
use super::state::State;
use crate::store::StoreError;

/// Extensions that fit into a lease (see the broker), and one more for those that come late.
const INTERVALS_PER_LEASE: u32 = 4;

/// Extend leases, hear of cancellation requests, and take over what other processes lost, until the service closes.
pub(super) async fn extend_leases(state: Arc<State>) {
    let interval = state.broker.extension_interval();
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // On a file, what takes long is not lost.
    let patience = if state.config.exclusive { Duration::MAX } else { interval * INTERVALS_PER_LEASE };
    let mut unknown = HashSet::new();
    let mut outages = OutageWatch::new(interval, interval * INTERVALS_PER_LEASE, Instant::now());
    loop {
        tokio::select! {
            () = state.closed.cancelled() => return,
            _ = tick.tick() => {}
        }
        let extended = state.broker.extend().await;
        outages.record(extended.is_ok(), Instant::now());
        let stopped = match extended {
            Ok(()) => in_time(patience, state.compare_claims(&mut unknown)).await,
            Err(error) => {
                tracing::warn!(%error, "leases cannot be extended");
                Ok(())
            }
        };
        if state.is_draining() {
            continue;
        }
        let recovered = async {
            stopped?;
            if state.config.exclusive {
                state.recover_left().await?;
            } else if outages.may_recover(Instant::now()) {
                state.recover_lost(state.now_ms(), true).await?;
            } else {
                state.accuse_left_suspects().await?;
            }
            state.requeue_forgotten().await
        };
        if let Err(error) = in_time(patience, recovered).await {
            tracing::warn!(%error, "the queue in the store cannot be read");
        }
    }
}

/// What the store answers while a lease lasts: a connection that is dead without a word would be waited for much longer, and no
/// leases extended.
async fn in_time(patience: Duration, asked: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
    let answered = tokio::time::timeout(patience, asked).await;
    answered.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".to_owned())))
}

impl State {
    /// Stop the runs of claims that another process has taken over, or that were deleted; and give back claims that nothing
    /// runs for. `unknown` has those that were found without a run the last time: one may be on its way here.
    async fn compare_claims(&self, unknown: &mut HashSet<(Uuid, i64)>) -> Result<(), StoreError> {
        if self.config.exclusive {
            return Ok(());
        }
        let running: Vec<_> = self.claims.lock().iter().map(|(id, claim)| (*id, claim.clone())).collect();
        let held = self.store.list_claims(&self.broker.lease().worker).await?;
        let is_running = |id: Uuid, epoch: i64| self.claims.lock().get(&id).is_some_and(|claim| claim.0 == epoch);
        let found: HashSet<_> = held.iter().copied().filter(|(id, epoch)| !is_running(*id, *epoch)).collect();
        for (id, epoch) in found.intersection(unknown) {
            tracing::warn!(job.id = %id, job.epoch = epoch, "a claim was made without an answer; it is given back");
            self.store.release(*id, *epoch, false).await?;
        }
        *unknown = found;
        for (id, (epoch, cancel)) in running {
            if !held.contains(&(id, epoch)) && !cancel.is_cancelled() {
                tracing::warn!(job.id = %id, job.epoch = epoch, "a claim is over; what it runs is stopped");
                cancel.cancel();
            }
        }
        Ok(())
    }
}
