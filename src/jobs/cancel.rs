//! Cancelling and deleting jobs, whatever they are doing.
//!
//! Invariant: both work on a full disk, and make room there.

use super::state::State;
use crate::domain::Outcome;
use crate::records::Job;
use crate::store::{CancelOutcome, StoreError};

/// How long a job that was canceled before it ran is kept, ms, unless jobs are kept for less.
const CANCELED_TTL_MS: i64 = 600_000;

impl State {
    /// Cancel a job: at once if it waits, at its next step if it runs.
    pub(super) async fn cancel_job(&self, job: &Job) -> Result<CancelOutcome, StoreError> {
        let now = self.now_ms();
        let expires_at = self.expires_at(now).min(now.saturating_add(CANCELED_TTL_MS));
        let deliveries = self.deliveries(job, &Outcome::Canceled);
        let canceled = self.with_room(|| self.store.cancel(job.id, &deliveries, now, expires_at)).await;
        let outcome = canceled.inspect_err(|_| self.cancel_run(job))?;
        match outcome {
            CancelOutcome::Canceled => {
                let mut job = job.clone();
                job.end(Outcome::Canceled, now, expires_at);
                self.finish_job(job, None).await;
            }
            CancelOutcome::Requested => self.broker.cancel(job.id),
            CancelOutcome::Ended(_) | CancelOutcome::Unknown => {}
        }
        Ok(outcome)
    }

    /// If it runs here, it stops at its next step, whether the store answers or not.
    fn cancel_run(&self, job: &Job) {
        if let Some((_, cancel)) = self.claims.lock().get(&job.id) {
            cancel.cancel();
        }
    }

    /// Cancel a job if it has not ended, and delete it with its files. False if it was unknown.
    pub(super) async fn delete_job(&self, job: &Job) -> Result<bool, StoreError> {
        if !job.state.is_final() {
            self.cancel_job(job).await?;
        }
        // First what takes the most room: then there is some for the rest.
        self.delete_files(job.id, "").await;
        let deleted = self.with_room(|| self.store.delete(job.id)).await?;
        if deleted.is_some_and(|state| !state.is_final()) {
            // Its worker finds no job to end any more.
            let mut job = job.clone();
            let now = self.now_ms();
            job.end(Outcome::Canceled, now, self.expires_at(now));
            self.finish_job(job, None).await;
        }
        if !job.state.is_final() {
            // What its run has stored meanwhile. A run that goes on deletes what comes later.
            self.delete_files(job.id, "").await;
        }
        self.deleted.notify_one();
        Ok(deleted.is_some())
    }
}
