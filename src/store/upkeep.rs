//! What a server asks of the store to keep itself in order: who is to blame for deaths, what is kept for whom, room on the
//! disk, and deliveries so that no receiver holds up the others.
//!
//! Invariant: nothing here ends a job, or changes what its caller sees of it.

use async_trait::async_trait;
use uuid::Uuid;

use super::error::StoreError;

/// A delivery that is due, leased to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: String,
    pub job: Uuid,
    pub url: String,
    pub payload: String,
    /// The URL's; empty where it was not kept.
    pub host: String,
    /// Of the job.
    pub owner: String,
    /// Attempts before this one.
    pub attempts: u32,
}

/// A job that was in execution when a worker died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    pub job: Uuid,
    /// Of the claim under which it was executed.
    pub epoch: i64,
    /// How far it was.
    pub place: String,
    /// Whether no other job was in execution.
    pub alone: bool,
}

/// Which deliveries are to be leased.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryQuery<'a> {
    pub now: i64,
    pub lease_until: i64,
    pub limit: u32,
    /// Receivers and owners that have enough deliveries under way.
    pub busy_hosts: &'a [String],
    pub busy_owners: &'a [String],
}

/// What is kept for an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptJobs {
    pub owner: String,
    pub jobs: u64,
    /// Of the texts of their requests.
    pub bytes: u64,
}

/// What is accepted and has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Backlog {
    pub queued: u64,
    /// Of those that are queued, in the unit of [`crate::modes::Generation::cost`].
    pub queued_cost: u64,
    pub running: u64,
    /// Of those that run, done parts included.
    pub running_cost: u64,
}

/// See the module.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Count a death against each of these jobs that is still under that claim, or has been requeued since.
    async fn note_suspects(&self, suspects: &[Suspect]) -> Result<(), StoreError>;

    /// The running jobs that this process has leased, with the epochs of their claims.
    async fn list_claims(&self, worker: &str) -> Result<Vec<(Uuid, i64)>, StoreError>;

    /// Deliveries that are due, leased to the caller: oldest first, where an attempt that was made counts like a minute less
    /// of age.
    async fn lease_deliveries(&self, query: &DeliveryQuery<'_>) -> Result<Vec<Delivery>, StoreError>;

    /// Jobs that wait or run although their key was revoked, unless the key keeps its jobs. Not those whose cancellation was
    /// requested.
    async fn list_unwanted(&self, limit: u32) -> Result<Vec<Uuid>, StoreError>;

    /// What is kept for each owner.
    async fn list_kept(&self) -> Result<Vec<KeptJobs>, StoreError>;

    /// Jobs of an owner that have ended, with their bytes: those without images first, then the oldest.
    async fn list_evictable(&self, owner: &str, limit: u32) -> Result<Vec<(Uuid, u64)>, StoreError>;

    /// Delete purged jobs that were canceled before they ran and expired before `now`, unless that is still to be announced;
    /// returns how many.
    async fn forget_canceled(&self, now: i64) -> Result<u64, StoreError>;

    /// Take the idempotency key off a job, so that another one may have it.
    async fn free_key(&self, id: Uuid) -> Result<(), StoreError>;

    /// Which of these jobs the store does not know.
    async fn list_unknown(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError>;

    /// What all processes that share the store have to do.
    async fn backlog(&self) -> Result<Backlog, StoreError>;

    /// The jobs of an owner that wait or run, and their cost.
    async fn held_by(&self, owner: &str) -> Result<(u64, u64), StoreError>;

    /// The time of day of the machine that the database runs on, µs since 1970.
    async fn now_us(&self) -> Result<i64, StoreError>;

    /// The oldest job that is kept.
    async fn oldest_job(&self) -> Result<Option<Uuid>, StoreError>;

    /// Give up what is held in reserve for a full disk, and whatever else can be given up. False: there is nothing.
    async fn make_room(&self) -> bool;

    /// Hold the reserve again. An error: there is no room for it.
    async fn restore_room(&self) -> Result<(), StoreError>;

    /// Have what was deleted leave the files of the database, too.
    async fn scrub(&self) -> Result<(), StoreError>;
}
