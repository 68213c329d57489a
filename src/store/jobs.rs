//! What is asked of the store about jobs and webhook deliveries.
//!
//! Invariant: a job's state only moves forward, and only the newest claim moves a running job. All times are ms since 1970
//! and come from the caller.

use async_trait::async_trait;
use uuid::Uuid;

use super::error::StoreError;
use super::upkeep::{Delivery, Upkeep};
use crate::domain::{Failure, JobState, Outcome};
use crate::records::Job;

/// Makes the same request again give the same job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's key, unique per owner.
    pub key: String,
    /// Digest of the request.
    pub fingerprint: String,
}

/// What a job costs its owner, out of a quota for the day (UTC) on which it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaCharge {
    pub images: u32,
    /// Most images of the day.
    pub quota: u32,
}

/// A job to be kept, and what is written with it.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    pub job: &'a Job,
    pub idempotency: Option<&'a Idempotency>,
    /// The process whose connection the job is attached to. Ignored for durable jobs.
    pub holder: Option<&'a Lease>,
    /// `None`: it costs its owner nothing.
    pub charge: Option<QuotaCharge>,
    /// Jobs that its owner may have waiting or running, this one included. `None`: the store does not count them.
    pub most_jobs: Option<u32>,
}

/// What became of a new job.
#[derive(Debug)]
pub enum InsertOutcome {
    New,
    /// The idempotency key is known, for the same request.
    Existing(Box<Job>),
    /// The idempotency key is known, for another request.
    Conflict,
    /// The owner's quota for the day does not cover it.
    OverQuota,
    /// The owner has as many jobs waiting or running as it may have.
    OverJobs,
}

/// What became of a cancellation request.
#[derive(Debug)]
pub enum CancelOutcome {
    /// The job was queued and is canceled now.
    Canceled,
    /// The job runs; its worker sees the request at its next lease extension.
    Requested,
    /// The job had ended before.
    Ended(JobState),
    Unknown,
}

/// How a job ends, and what is written with its end.
#[derive(Debug, Clone, Copy)]
pub struct JobEnd<'a> {
    pub outcome: &'a Outcome,
    /// For the outbox.
    pub deliveries: &'a [NewDelivery],
    pub finished_at: i64,
    pub expires_at: i64,
}

/// A webhook message, written with the state that it announces (an outbox).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// `msg_...`, the same at every attempt.
    pub id: String,
    pub url: String,
    pub payload: String,
}

/// What a listing shows.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// `None`: jobs of all owners.
    pub owner: Option<String>,
    pub state: Option<JobState>,
    /// Only jobs older than this one.
    pub before: Option<Uuid>,
    pub limit: u32,
}

/// A process that answers for a job, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub worker: String,
    pub until: i64,
}

/// The deliveries that announce the failure of a job during recovery.
pub type Announce<'a> = dyn Fn(&Job, &Failure) -> Vec<NewDelivery> + Send + Sync + 'a;

/// A queued job as recovery needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedJob {
    pub id: Uuid,
    /// [`crate::domain::Priority::level`].
    pub priority: u8,
    /// [`Job::yields`].
    pub yields: bool,
    pub cost: u64,
    pub created_at: i64,
}

/// How jobs are recovered whose lease has ended.
#[derive(Debug, Clone)]
pub struct RecoveryPolicy {
    /// A durable job that was lost with its worker this often is a poison job, and fails.
    pub most_losses: i64,
    /// Whether being lost counts: not where it is known which jobs the worker executed when it died.
    pub counts_losses: bool,
    /// What poison jobs fail with.
    pub poisonous: Failure,
    /// What jobs that are not durable fail with: their callers are gone.
    pub abandoned: Failure,
    /// Of those that fail.
    pub finished_at: i64,
    pub expires_at: i64,
}

/// What one call of [`JobStore::recover`] did.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// Jobs that went back into the queue.
    pub requeued: u64,
    /// Jobs that failed, as they are now.
    pub failed: Vec<Job>,
    /// Jobs that failed without an announcement, because their rows cannot be read.
    pub unreadable: u64,
}

impl RecoveryReport {
    /// Jobs in all. 0: no lease had ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requeued + self.failed.len() as u64 + self.unreadable
    }
}

/// Jobs and the outbox.
#[async_trait]
pub trait JobStore: Upkeep {
    /// Keep a new job (state queued, epoch 0). An idempotency key whose job was canceled, or is to be and has not ended, counts
    /// as unknown: the new job takes it over. A job that is not durable is leased to its holder while it is queued, too; one without a holder is not
    /// recovered before it was claimed. The owner's jobs are counted with it, so that however many come at once, in whatever
    /// processes, no more than the bound are kept. The charge is taken with the job or not at all, and given back with an end that
    /// brings no images.
    async fn insert_job(&self, new: NewJob<'_>) -> Result<InsertOutcome, StoreError>;

    /// The job of an idempotency key, and the fingerprint of its request (not if the job was canceled, or is to be and has not
    /// ended).
    async fn find_idempotent(&self, owner: &str, key: &str) -> Result<Option<(Job, String)>, StoreError>;

    async fn get(&self, id: Uuid) -> Result<Option<Job>, StoreError>;

    /// Newest first.
    async fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError>;

    /// Durable jobs in state queued, oldest first; `after` continues a listing.
    async fn list_queued(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<QueuedJob>, StoreError>;

    /// Take a queued job: it is running from `now` on, under a new epoch, leased to `lease.worker` until `lease.until`.
    /// `None` if it is not queued any more.
    async fn claim(&self, id: Uuid, lease: &Lease, now: i64) -> Result<Option<Job>, StoreError>;

    /// Extend all leases of `lease.worker` (on jobs that have not ended); returns those jobs with a cancellation request.
    async fn extend_leases(&self, lease: &Lease) -> Result<Vec<Uuid>, StoreError>;

    /// End a running job under the epoch of its claim. False, and nothing is done, if the job is not running under that
    /// epoch (or is gone). True again if it has succeeded under that epoch before: the answer may have been lost, and its
    /// images are the ones that count.
    async fn finish(&self, id: Uuid, epoch: i64, end: &JobEnd<'_>) -> Result<bool, StoreError>;

    /// Requeue a running job under the epoch of its claim; `lost` counts it as lost with its worker. False if it is not
    /// running under that epoch. A cancellation request stays with the job, here as in recovery: the next claim carries it.
    /// A job that is not durable stays leased.
    async fn release(&self, id: Uuid, epoch: i64, lost: bool) -> Result<bool, StoreError>;

    /// Cancel a queued job at once (with its deliveries), or record a cancellation request for a running one.
    async fn cancel(
        &self,
        id: Uuid,
        deliveries: &[NewDelivery],
        now: i64,
        expires_at: i64,
    ) -> Result<CancelOutcome, StoreError>;

    /// Recover some jobs whose lease ended before `before`: durable ones are requeued, or fail once they have been lost
    /// [`RecoveryPolicy::most_losses`] times; the others fail. The failures' deliveries are those that `announce` gives.
    /// To be called until the report is empty: each call is one transaction of a bounded size.
    async fn recover(
        &self,
        before: i64,
        policy: &RecoveryPolicy,
        announce: &Announce<'_>,
    ) -> Result<RecoveryReport, StoreError>;

    /// Delete a job and its deliveries; its last state, or `None` if it was unknown. One that had not ended is given back to
    /// its owner's quota.
    async fn delete(&self, id: Uuid) -> Result<Option<JobState>, StoreError>;

    /// Jobs whose files are to be deleted: they expired before `now` and were not purged.
    async fn list_expired(&self, now: i64, limit: u32) -> Result<Vec<Uuid>, StoreError>;

    /// Record that the files of these jobs are deleted.
    async fn mark_purged(&self, ids: &[Uuid]) -> Result<(), StoreError>;

    /// Delete purged jobs that expired before `before`; returns how many. Quota usage of days before it is deleted, too.
    async fn delete_expired(&self, before: i64) -> Result<u64, StoreError>;

    /// Deliveries that are due at `now`, leased until `lease_until`, oldest first.
    async fn lease_due_deliveries(&self, now: i64, lease_until: i64, limit: u32) -> Result<Vec<Delivery>, StoreError>;

    /// A delivery was accepted by its receiver.
    async fn complete_delivery(&self, id: &str) -> Result<(), StoreError>;

    /// A delivery failed: it is due again at `due_at`, or never (`None`).
    async fn postpone_delivery(&self, id: &str, due_at: Option<i64>) -> Result<(), StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;
}
