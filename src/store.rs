//! Where jobs, keys and pictures are kept: three traits, and what implements them.
//!
//! Invariants: what a method says is done is on disk; an end is taken once, and only under the newest epoch; what must be
//! announced is written in the transaction of the state that it announces. The same contract holds on SQLite and
//! PostgreSQL, and one suite of tests checks it on both.

mod blobs;
mod keys;
mod migrate;
#[cfg_attr(not(feature = "postgres"), path = "store/postgres_missing.rs")]
mod postgres;
mod rows;
#[cfg_attr(not(feature = "s3"), path = "store/s3_missing.rs")]
mod s3;
mod sql;
mod sqlite;
mod statements;
mod trouble;

pub use blobs::{S3Config, open_local};
pub use migrate::Applied;
pub use postgres::{migrate_postgres, open_postgres};
pub use s3::open_s3;
pub use sqlite::{SqliteOptions, migrate_sqlite, open_sqlite, open_sqlite_beside, open_sqlite_with};

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{Failure, JobState, Outcome};
use crate::records::{ApiKey, Job, KeyDigest};

/// Why the store did not do it. Nothing of it was done, then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Locked, unreachable or out of connections: may work later.
    #[error("the store is busy or out of reach: {0}")]
    Unavailable(String),
    /// No room left.
    #[error("the store is full: {0}")]
    Full(String),
    /// Anything else; a fault.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Makes the same request again give the same job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's word for it, unique per owner.
    pub key: String,
    /// Digest of the request.
    pub fingerprint: String,
}

/// What a job's owner pays for it, out of a quota for the day (UTC) on which it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    pub pictures: u32,
    /// Most pictures of the day.
    pub quota: u32,
}

/// A job to be kept, and what belongs to it.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    pub job: &'a Job,
    pub idempotency: Option<&'a Idempotency>,
    pub holder: Option<&'a Lease>,
    /// None: it costs its owner nothing.
    pub charge: Option<Charge>,
}

/// What became of a new job.
#[derive(Debug)]
pub enum Inserted {
    New,
    /// The key is known, for the same request.
    Existing(Box<Job>),
    /// The key is known, for another request.
    Conflict,
    /// The owner's quota for the day does not cover it.
    OverQuota,
}

/// What became of a wish to cancel.
#[derive(Debug)]
pub enum Canceling {
    /// It was queued and is canceled now.
    Canceled,
    /// It runs; whoever runs it will see the wish at its next heartbeat.
    Requested,
    /// It had ended before.
    Ended(JobState),
    Unknown,
}

/// Whom to tell, written with the state that it is about (an outbox).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// `msg_...`, the same at every attempt.
    pub id: String,
    pub url: String,
    pub payload: String,
}

/// A delivery whose time has come, leased to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: String,
    pub job: Uuid,
    pub url: String,
    pub payload: String,
    /// Attempts before this one.
    pub attempts: u32,
}

/// What a listing shows.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// None: everybody's.
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
    /// ms since 1970.
    pub until: i64,
}

/// What is to be told of a job that fails during recovery.
pub type Announce = dyn Fn(&Job, &Failure) -> Vec<NewDelivery> + Send + Sync;

/// A queued job as the dispatcher needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedJob {
    pub id: Uuid,
    /// [`crate::domain::Priority::level`].
    pub priority: u8,
    pub cost: u64,
    pub created_at: i64,
}

/// Jobs and the outbox. All times are ms since 1970 and come from the caller.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Keep a new job (state queued, epoch 0). A key whose job was canceled counts as unknown: the new job takes it over.
    /// A job that is not durable is leased to the process that holds its connection while it is queued, too; one without
    /// a holder is never recovered before it is claimed. (A durable job's holder is ignored.) The charge is taken with the
    /// job or not at all, and given back with an end that brings no pictures.
    async fn accept(&self, new: NewJob<'_>) -> Result<Inserted, StoreError>;

    /// [`JobStore::accept`], of a job that costs nothing.
    async fn insert(
        &self,
        job: &Job,
        idempotency: Option<&Idempotency>,
        holder: Option<&Lease>,
    ) -> Result<Inserted, StoreError> {
        self.accept(NewJob { job, idempotency, holder, charge: None }).await
    }

    /// The job of an idempotency key, and the fingerprint of its request (not if it was canceled).
    async fn find_idempotent(&self, owner: &str, key: &str) -> Result<Option<(Job, String)>, StoreError>;

    async fn get(&self, id: Uuid) -> Result<Option<Job>, StoreError>;

    /// Newest first.
    async fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError>;

    /// Durable jobs in state queued, oldest first; `after` continues a listing.
    async fn queued(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<QueuedJob>, StoreError>;

    /// Take a queued job: it is running from `now` on, under a new epoch, leased to `worker` until `lease_until`. None if
    /// it is not queued any more.
    async fn claim(&self, id: Uuid, lease: &Lease, now: i64) -> Result<Option<Job>, StoreError>;

    /// Extend all leases of `lease.worker` (on jobs that have not ended); returns those jobs that somebody wants canceled.
    async fn heartbeat(&self, lease: &Lease) -> Result<Vec<Uuid>, StoreError>;

    /// End a running job under the epoch of its claim, and put `deliveries` into the outbox. False, and nothing is done,
    /// if the job is not running under that epoch (or is gone).
    async fn finish(
        &self,
        id: Uuid,
        epoch: i64,
        outcome: &Outcome,
        deliveries: &[NewDelivery],
        now: i64,
        expires_at: i64,
    ) -> Result<bool, StoreError>;

    /// Put a running job back into the queue under the epoch of its claim; `lost` counts it as lost with its worker. False if it is not running under that epoch.
    /// A wish to cancel it stays with it, here as in recovery: whoever claims it next gets it with the job. A job that is
    /// not durable stays leased.
    async fn release(&self, id: Uuid, epoch: i64, lost: bool) -> Result<bool, StoreError>;

    /// Cancel a queued job at once (with its deliveries), or note the wish for a running one.
    async fn cancel(
        &self,
        id: Uuid,
        deliveries: &[NewDelivery],
        now: i64,
        expires_at: i64,
    ) -> Result<Canceling, StoreError>;

    /// Take up jobs whose lease ended before `now`: durable ones go back into the queue, or fail once they have been
    /// lost [`Recovery::most_losses`] times; the others fail. Failures write no deliveries but those that `announce`
    /// gives for the job. Returns how many jobs it touched.
    async fn recover(&self, now: i64, recovery: &Recovery, announce: &Announce) -> Result<u64, StoreError>;

    /// Delete a job and what is in the outbox for it. False if it was unknown. One that has not ended is given back to its
    /// owner's quota.
    async fn delete(&self, id: Uuid) -> Result<bool, StoreError>;

    /// Jobs whose pictures are to be removed: they expired before `now` and have not been purged.
    async fn expired(&self, now: i64, limit: u32) -> Result<Vec<Uuid>, StoreError>;

    /// Note that the pictures of these are gone.
    async fn purged(&self, ids: &[Uuid]) -> Result<(), StoreError>;

    /// Delete purged jobs that expired before `before`; they answer `404` from then on. Returns how many. What was used of
    /// quotas on days before it is forgotten, too.
    async fn forget(&self, before: i64) -> Result<u64, StoreError>;

    /// Deliveries that are due at `now`, leased until `lease_until`, oldest first.
    async fn due_deliveries(&self, now: i64, lease_until: i64, limit: u32) -> Result<Vec<Delivery>, StoreError>;

    /// A delivery was taken.
    async fn delivered(&self, id: &str) -> Result<(), StoreError>;

    /// A delivery failed: try again at `due_at`, or never (None).
    async fn delivery_failed(&self, id: &str, due_at: Option<i64>) -> Result<(), StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// API keys. All times are ms since 1970 and come from the caller.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Keep a new key. An id that is taken is an error.
    async fn insert_key(&self, key: &ApiKey, digest: &KeyDigest) -> Result<(), StoreError>;

    /// A key, whatever its state, and the digest of its secret.
    async fn find_key(&self, id: &str) -> Result<Option<(ApiKey, KeyDigest)>, StoreError>;

    /// All keys, oldest first.
    async fn list_keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// A key is good for nothing from `now` on, if it was not revoked before. False if it is unknown.
    async fn revoke_key(&self, id: &str, now: i64) -> Result<bool, StoreError>;

    /// Note that a key was used. Later uses stay.
    async fn key_used(&self, id: &str, now: i64) -> Result<(), StoreError>;

    /// Pictures that a key was charged for on the day (UTC) of `at`.
    async fn pictures_charged(&self, id: &str, at: i64) -> Result<u64, StoreError>;
}

/// What a database keeps.
pub trait Database: JobStore + KeyStore {}

impl<S: JobStore + KeyStore> Database for S {}

/// How lost jobs are taken up.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// A durable job that was lost this often takes its worker down with it, and fails.
    pub most_losses: i64,
    /// What those fail with.
    pub poisonous: Failure,
    /// What jobs that are not durable fail with: their clients are gone.
    pub abandoned: Failure,
    pub expires_at: i64,
}

/// Files: pictures that came in or were made, under `job/name`.
#[async_trait]
pub trait Blobs: Send + Sync {
    async fn put(&self, job: Uuid, name: &str, bytes: Vec<u8>) -> Result<(), StoreError>;

    /// None if there is none.
    async fn get(&self, job: Uuid, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Delete all files of a job whose names start with `prefix`.
    async fn delete(&self, job: Uuid, prefix: &str) -> Result<(), StoreError>;

    /// Whether files can be written.
    async fn ping(&self) -> Result<(), StoreError>;
}
