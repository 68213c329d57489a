//! Cancelling and deleting jobs, whatever they are doing.

use super::state::State;
use crate::domain::Outcome;
use crate::records::Job;
use crate::store::{CancelOutcome, StoreError};

impl State {
    /// Cancel a job: at once if it waits, at its next step if it runs.
    pub(super) async fn cancel_job(&self, job: &Job) -> Result<CancelOutcome, StoreError> {
        let now = self.now_ms();
        let expires_at = self.expires_at(now);
        let deliveries = self.deliveries(job, &Outcome::Canceled);
        let outcome = self.store.cancel(job.id, &deliveries, now, expires_at).await?;
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

    /// Cancel a job if it has not ended, and delete it with its files. False if it was unknown.
    pub(super) async fn delete_job(&self, job: &Job) -> Result<bool, StoreError> {
        if !job.state.is_final() {
            self.cancel_job(job).await?;
        }
        let deleted = self.store.delete(job.id).await?;
        if deleted.is_some_and(|state| !state.is_final()) {
            // Its worker finds no job to end any more.
            let mut job = job.clone();
            let now = self.now_ms();
            job.end(Outcome::Canceled, now, self.expires_at(now));
            self.finish_job(job, None).await;
        }
        self.delete_files(job.id, "").await;
        Ok(deleted.is_some())
    }
}
