//! What keeps the store in order: taking up what an earlier process left, leases, cancelling, expiry, and the drain.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::admission::Demand;
use super::{Inner, JobEvent, announce, lock, ms, now_ms};
use crate::domain::{Failure, FailureKind, Outcome};
use crate::records::Job;
use crate::store::{Canceling, Recovery, StoreError};

/// Jobs read from the store at once.
const PAGE: u32 = 100;

impl Inner {
    /// Take up jobs whose lease ended before `before` (ms since 1970).
    pub(super) async fn recover(&self, before: i64) -> Result<(), StoreError> {
        let now = now_ms();
        let recovery = Recovery {
            most_losses: self.config.most_losses,
            poisonous: Failure::new(FailureKind::Internal, "the server stopped each time that it tried to do this"),
            abandoned: Failure::new(FailureKind::Unavailable, "the server stopped before it was done"),
            expires_at: self.expires_at(now),
        };
        let base = self.config.public_url.clone();
        let announce =
            move |job: &Job, failure: &Failure| announce::deliveries(&base, job, &Outcome::Failed(failure.clone()));
        let touched = self.jobs.recover(before, &recovery, &announce).await?;
        if touched > 0 {
            tracing::info!(jobs = touched, "took up jobs that were left running");
        }
        Ok(())
    }

    /// Let all queued jobs of the store wait here that do not yet.
    pub(super) async fn adopt_queued(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.jobs.queued(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for queued in &page {
                if lock(&self.live).contains_key(&queued.id) {
                    continue;
                }
                let Some(job) = self.jobs.get(queued.id).await? else { continue };
                let permit = self.admission.readmit(Demand { cost: job.cost, input_bytes: 0 });
                let share = self.owners.readmit(&job.owner);
                drop(self.take_in(Arc::new(job), (permit, share), None, String::new()));
            }
        }
    }

    pub(super) async fn cancel(&self, job: &Job) -> Result<Canceling, StoreError> {
        let now = now_ms();
        let deliveries = announce::deliveries(&self.config.public_url, job, &Outcome::Canceled);
        let canceling = self.jobs.cancel(job.id, &deliveries, now, self.expires_at(now)).await?;
        match &canceling {
            Canceling::Canceled => {
                lock(&self.pending).remove(job.id);
                drop(lock(&self.live).remove(&job.id));
                let mut job = job.clone();
                (job.state, job.finished_at) = (crate::domain::JobState::Canceled, Some(now));
                job.expires_at = Some(self.expires_at(now));
                tracing::info!(job.id = %job.id, "canceled while it waited");
                let (id, durable) = (job.id, job.durable);
                self.feed.publish(id, JobEvent::Ended { job: Arc::new(job), files: None });
                if !deliveries.is_empty() {
                    self.outbox.notify_one();
                }
                if durable {
                    self.delete_files(id, super::persist::INPUTS).await;
                }
            }
            Canceling::Requested => {
                if let Some(live) = lock(&self.live).get(&job.id) {
                    live.cancel.cancel();
                }
            }
            Canceling::Ended(_) | Canceling::Unknown => {}
        }
        Ok(canceling)
    }

    pub(super) async fn drain(self: &Arc<Self>, grace: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        // Durable jobs that wait are in the store; the next process takes them up.
        let waiting: Vec<_> = lock(&self.pending).iter().map(|(waiting, _)| waiting.id).collect();
        for id in waiting {
            let durable = lock(&self.live).get(&id).is_some_and(|live| live.job.durable);
            if durable && lock(&self.pending).remove(id) {
                drop(lock(&self.live).remove(&id));
                self.feed.close(id);
            }
        }
        let idle = async {
            while !lock(&self.live).is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(grace, idle).await.is_err() {
            tracing::info!(
                jobs = lock(&self.live).len(),
                "the grace period is over; what runs goes back into the queue"
            );
        }
        self.stop.cancel();
        self.feed.close_owners();
        // What still waits has nobody to run it: those that are attached to connections end with them.
        let rest: Vec<_> = lock(&self.pending).iter().map(|(waiting, _)| waiting.id).collect();
        for id in rest {
            lock(&self.pending).remove(id);
            drop(lock(&self.live).remove(&id));
            self.feed.close(id);
        }
        self.runs.close();
        self.runs.wait().await;
        self.closed.cancel();
        self.loops.close();
        self.loops.wait().await;
    }
}

/// Extend leases, hear of wishes to cancel, and take up what other processes lost.
pub(super) async fn keep_leases(inner: Arc<Inner>) {
    let mut tick = tokio::time::interval((inner.config.lease / 3).max(Duration::from_millis(50)));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = inner.closed.cancelled() => return,
            _ = tick.tick() => {}
        }
        match inner.jobs.heartbeat(&inner.lease()).await {
            Ok(wanted) => {
                for id in wanted {
                    if let Some(live) = lock(&inner.live).get(&id) {
                        live.cancel.cancel();
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "leases cannot be extended"),
        }
        if inner.draining.load(Ordering::Relaxed) {
            continue;
        }
        let taken = async {
            inner.recover(now_ms()).await?;
            inner.adopt_queued().await
        };
        if let Err(error) = taken.await {
            tracing::warn!(%error, "the queue in the store cannot be read");
        }
    }
}

/// Delete what has expired.
pub(super) async fn clean(inner: Arc<Inner>) {
    loop {
        if let Err(error) = clean_once(&inner).await {
            tracing::warn!(%error, "expired jobs cannot be cleaned up");
        }
        tokio::select! {
            () = inner.closed.cancelled() => return,
            () = tokio::time::sleep(inner.config.clean_interval) => {}
        }
    }
}

async fn clean_once(inner: &Inner) -> Result<(), StoreError> {
    loop {
        let expired = inner.jobs.expired(now_ms(), PAGE).await?;
        if expired.is_empty() {
            break;
        }
        for id in &expired {
            inner.blobs.delete(*id, "").await?;
        }
        inner.jobs.purged(&expired).await?;
        tracing::info!(jobs = expired.len(), "deleted the pictures of expired jobs");
    }
    let forgotten = inner.jobs.forget(now_ms().saturating_sub(ms(inner.config.forget_after))).await?;
    if forgotten > 0 {
        tracing::debug!(jobs = forgotten, "forgot expired jobs");
    }
    Ok(())
}
