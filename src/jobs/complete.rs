//! The one way in which every job ends: executed, canceled, deleted, lost too often, or left by its caller.
//!
//! Invariant: [`State::finish_job`] is called once for each accepted job, after the store has taken its end: so accepted
//! jobs are those that finished and those in flight, in metrics and in fact.

use std::sync::Arc;
use std::time::Duration;

use backon::Retryable as _;
use tracing::Instrument as _;
use uuid::Uuid;

use super::inputs;
use super::state::State;
use super::webhooks;
use crate::broker::{BrokerError, Claim, Files, JobEvent};
use crate::domain::Outcome;
use crate::metrics;
use crate::records::Job;
use crate::retry::{RetryPolicy, until_canceled};
use crate::store::{JobEnd, NewDelivery};

/// For what must reach the store sooner or later: ends and releases of claims.
pub(super) const STORE_RETRY: RetryPolicy = RetryPolicy::doubling(Duration::from_millis(100), Duration::from_secs(5));

impl State {
    /// The webhook messages that announce this end, if the request asked for any.
    pub(super) fn deliveries(&self, job: &Job, outcome: &Outcome) -> Vec<NewDelivery> {
        webhooks::deliveries(&self.config.public_url, job, outcome, self.config.clock.now())
    }

    /// End a claimed job, however long the store takes, unless the process stops: then its lease ends, and it is recovered.
    pub(super) async fn end_claimed(&self, claim: &Claim, outcome: Outcome, files: Option<Files>) {
        let id = claim.job.id;
        let deliveries = self.deliveries(&claim.job, &outcome);
        let attempt = || async {
            let finished_at = self.now_ms();
            let expires_at = self.expires_at(finished_at);
            let end = JobEnd { outcome: &outcome, deliveries: &deliveries, finished_at, expires_at };
            let mut acknowledged = self.broker.acknowledge(claim, &end).instrument(tracing::info_span!("finish")).await;
            if acknowledged.as_ref().is_err_and(|error| error.is_full) {
                self.storage.close(0);
                self.store.make_room().await;
                acknowledged = self.broker.acknowledge(claim, &end).await;
            }
            let is_ended = acknowledged?;
            Ok::<_, BrokerError>(is_ended.then_some((finished_at, expires_at)))
        };
        let ended = attempt
            .retry(STORE_RETRY.backoff())
            .sleep(until_canceled(&self.stop))
            .when(|_| !self.stop.is_cancelled())
            .notify(|error: &BrokerError, _| {
                tracing::warn!(job.id = %id, %error, "a job's end cannot be stored; trying again");
            })
            .await;
        match ended {
            Ok(Some((finished_at, expires_at))) => {
                // It is not found missing among the claims of this process while the rest is done.
                self.claims.lock().remove(&id);
                let mut job = Job::clone(&claim.job);
                job.end(outcome, finished_at, expires_at);
                self.finish_job(job, files).await;
            }
            Ok(None) => {
                self.tally.note_fenced();
                tracing::warn!(job.id = %id, job.epoch = claim.job.epoch, "a job was ended under a newer claim");
                self.delete_results(&claim.job, &outcome).await;
                self.abandon_gone(id).await;
            }
            Err(error) => {
                tracing::error!(job.id = %id, %error, "a job's end could not be stored before the process stops");
                self.abandon_job(id);
            }
        }
    }

    /// The end of a job, for everything but the store, where it has ended already: logs, metrics, its share of the bounds,
    /// those who listen, webhooks, and its inputs.
    pub(super) async fn finish_job(&self, job: Job, files: Option<Files>) {
        let id = job.id;
        let has_inputs = job.spec.generation.image_bytes() > 0 && (job.durable || !self.broker.shares_memory());
        let finished_at = job.finished_at.unwrap_or(job.created_at);
        let total_ms = finished_at - job.created_at;
        tracing::info!(
            job.id = %id, job.state = job.state.name(), job.mode = job.mode.name(),
            job.failure = job.failure.as_ref().map(|failure| failure.message.as_str()),
            job.total_ms = total_ms, "ended"
        );
        let labels = [job.mode.name(), job.state.name()];
        metrics::JOBS_FINISHED.add(1, labels);
        #[expect(clippy::cast_precision_loss, reason = "ms")]
        metrics::JOB_DURATION.record(total_ms as f64 / 1e3, labels);
        if job.spec.webhook.is_some() {
            self.outbox.notify_one();
        }
        // Before its caller hears of it, who may send the next request at once.
        self.remove_live(id);
        self.broker.events().announce(id, JobEvent::Ended { job: Arc::new(job), files });
        // To look for them costs a request.
        if has_inputs {
            self.delete_files(id, inputs::PREFIX).await;
        }
    }

    /// Delete the files of a run whose claim was not the newest any more; all of them if the job was deleted, since they may have
    /// come after those were that it had.
    async fn delete_results(&self, job: &Job, outcome: &Outcome) {
        if matches!(self.store.get(job.id).await, Ok(None)) {
            return self.delete_files(job.id, "").await;
        }
        let Outcome::Succeeded { images, .. } = outcome else { return };
        for image in images {
            self.delete_files(job.id, &inputs::result_name(job, image)).await;
        }
    }

    /// Another process has the job, or it was canceled or deleted meanwhile: nothing is to be done for it here.
    pub(super) async fn abandon_gone(&self, id: Uuid) {
        if !self.broker.shares_memory() {
            // The process that has it, or ended it, tells the listeners here, too.
            return;
        }
        self.remove_live(id);
        match self.store.get(id).await {
            Ok(Some(job)) if job.state.is_final() => {
                self.broker.events().announce(id, JobEvent::Ended { job: Arc::new(job), files: None });
            }
            Ok(_) => self.broker.events().close(id),
            Err(error) => {
                tracing::warn!(job.id = %id, %error, "a job cannot be read");
                self.broker.events().close(id);
            }
        }
    }
}
