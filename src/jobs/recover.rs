//! Recovery: jobs of processes that are gone are requeued or fail, and what is queued in the store waits here again.
//!
//! Invariant: a durable job that no process works on waits here within one interval of lease extensions.

use std::sync::Arc;

use super::policy::Demand;
use super::state::State;
use crate::domain::{Failure, FailureKind, Outcome};
use crate::records::Job;
use crate::store::{RecoveryPolicy, StoreError};

/// Jobs read from the store at once.
const PAGE: u32 = 100;

impl State {
    /// Recover jobs whose lease ended before `before` (ms since 1970).
    pub(super) async fn recover_lost(&self, before: i64) -> Result<(), StoreError> {
        let now = self.now_ms();
        let policy = RecoveryPolicy {
            most_losses: self.config.most_losses,
            poisonous: Failure::new(FailureKind::Internal, "the server stopped each time that it ran this job"),
            abandoned: Failure::new(FailureKind::Unavailable, "the server stopped before the job was done"),
            finished_at: now,
            expires_at: self.expires_at(now),
        };
        let announce = |job: &Job, failure: &Failure| self.deliveries(job, &Outcome::Failed(failure.clone()));
        loop {
            let report = self.store.recover(before, &policy, &announce).await?;
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

    /// Let all queued jobs of the store wait here that do not yet.
    pub(super) async fn adopt_queued(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.store.list_queued(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for queued in &page {
                if self.is_live(queued.id) {
                    continue;
                }
                let Some(job) = self.store.get(queued.id).await? else { continue };
                let capacity = self.admission.readmit(Demand { cost: job.cost, input_bytes: 0 });
                let owner = self.owners.readmit(&job.owner);
                drop(self.enqueue(Arc::new(job), (capacity, owner), None, String::new()).await);
            }
        }
    }
}
