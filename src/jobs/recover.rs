//! Recovery: jobs of processes that are gone are requeued or fail, and what is queued in the store waits here again.
//!
//! Invariant: a durable job that no process works on waits here within one interval of lease extensions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::blame::poisonous;
use super::policy::Demand;
use super::state::State;
use super::submit::Enqueued;
use crate::domain::{Failure, FailureKind, JobState, Outcome};
use crate::records::Job;
use crate::store::{RecoveryPolicy, StoreError};

/// A job that has been queued for so many leases waits for long.
const LONG_LEASES: i64 = 2;
/// Jobs read from the store at once.
const PAGE: u32 = 100;

impl State {
    /// Recover jobs whose lease ended before `before` (ms since 1970).
    pub(super) async fn recover_lost(&self, before: i64, counts_losses: bool) -> Result<(), StoreError> {
        self.accuse_left_suspects().await?;
        let now = self.now_ms();
        let policy = RecoveryPolicy {
            most_losses: self.config.most_unexplained_losses,
            counts_losses,
            poisonous: poisonous(),
            abandoned: Failure::new(FailureKind::Unavailable, "the server stopped before the job was done"),
            finished_at: now,
            expires_at: self.expires_at(now),
        };
        let announce = |job: &Job, failure: &Failure| self.deliveries(job, &Outcome::Failed(failure.clone()));
        loop {
            let report = self.with_room(|| self.store.recover(before, &policy, &announce)).await?;
            if report.total() == 0 {
                return Ok(());
            }
            tracing::info!(
                jobs.requeued = report.requeued,
                jobs.failed = report.failed.len(),
                "recovered jobs that were left running"
            );
            for job in report.failed {
                self.finish_job(job, None).await;
            }
        }
    }

    /// Recover all that the last process left, where no other one could be working on it.
    pub(super) async fn recover_left(&self) -> Result<(), StoreError> {
        if self.has_recovered.load(Ordering::SeqCst) {
            return Ok(());
        }
        // A process that died while it executed nothing may have died of anything.
        let counts_losses = !self.left_is_explained;
        self.recover_lost(i64::MAX, counts_losses).await?;
        self.has_recovered.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// See to it that every queued job of the store waits for a worker.
    pub(super) async fn requeue_forgotten(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.broker.shares_memory() { self.adopt_queued().await } else { self.republish_queued().await }
    }

    /// Publish queued jobs of the store again, which the broker may lack: it was out of reach when they were accepted, or has lost
    /// what it had. All of them if it has fewer than there are; and whatever it has, the first ones that wait for long, since
    /// messages of jobs that have ended may make up for the number of others. Those that it has stay as they are.
    async fn republish_queued(&self) -> Result<(), StoreError> {
        if !self.config.role.accepts() || !self.broker.is_reachable() {
            return Ok(());
        }
        let backlog = self.store.backlog().await?;
        let lacks_some = self.broker.lacks_jobs(backlog.queued + backlog.running).await;
        let now = self.now_ms();
        let recent = if lacks_some { i64::MAX } else { now - LONG_LEASES * (self.broker.lease().until - now) };
        let (mut after, mut published) = (None, 0_usize);
        loop {
            let page = self.store.list_queued(after, PAGE).await?;
            after = page.last().map(|last| last.id).filter(|_| lacks_some);
            for queued in &page {
                let Some(job) = self.store.get(queued.id).await? else { continue };
                if job.created_at >= recent {
                    break;
                }
                if let Err(error) = self.broker.publish(self.work(&job, true)).await {
                    tracing::warn!(job.id = %job.id, %error, "a job cannot be published again yet");
                    return Ok(());
                }
                published += 1;
            }
            if after.is_none() {
                break;
            }
        }
        if lacks_some {
            tracing::info!(jobs = published, "the broker lacked jobs; those that are queued were published again");
        }
        Ok(())
    }

    /// Let all queued jobs of the store wait here that do not yet.
    async fn adopt_queued(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.store.list_queued(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for queued in &page {
                if self.is_live(queued.id) {
                    continue;
                }
                // It may have ended, or been claimed, since it was listed.
                let Some(job) = self.store.get(queued.id).await?.filter(|job| job.state == JobState::Queued) else {
                    continue;
                };
                let demand = Demand { cost: job.cost, input_bytes: 0 };
                let capacity = self.admission.readmit(demand);
                let owner = self.owners.readmit(&job.owner, demand);
                let (job, permits) = (Arc::new(job), (capacity, owner));
                let found = Enqueued { job, permits, inputs: None, request_id: String::new(), is_attached: false };
                drop(self.enqueue(found).await);
            }
        }
    }
}
