//! The contract between jobs and whatever reaches workers.
//!
//! Invariant: no method blocks on a client; what may wait for the network or the store is `async`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::events::JobEvent;
use super::log::Subscription;
use super::workers::{FleetReport, WorkerReport};
use crate::domain::{Priority, Size};
use crate::records::Job;
use crate::store::{JobEnd, Lease, StoreError};

/// The broker, or the store behind it, did not do what was asked. It may work later: callers log it and try again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct BrokerError {
    pub message: String,
    /// Whether it is for want of room.
    pub is_full: bool,
}

impl From<StoreError> for BrokerError {
    fn from(error: StoreError) -> Self {
        Self { message: error.to_string(), is_full: matches!(error, StoreError::Full(_)) }
    }
}

/// A queued job as brokers order it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedWork {
    pub job: Uuid,
    /// Whose it is: owners share the workers. Empty where keys are off.
    pub owner: Arc<str>,
    /// Of one owner's and one priority's the smaller is claimed first (see [`crate::jobs`]); equal ones in the order of their ids.
    pub turn: i64,
    /// [`crate::modes::Generation::cost`].
    pub cost: u64,
    pub images: u32,
    pub priority: Priority,
    /// See [`Job::yields`]. Where one process has all jobs, it goes by their owners and turns.
    pub yields: bool,
    /// At which the model draws: jobs of one size share steps. `None`: the mode's own choice.
    pub size: Option<Size>,
    /// Whether it outlives this process.
    pub durable: bool,
}

/// Where a job waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub job: Uuid,
    /// Jobs that are claimed before it.
    pub position: usize,
    /// Cost of those.
    pub cost_before: u64,
    pub cost: u64,
}

/// What a worker can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Images that fit now.
    pub free: u32,
    /// Images that fit at most: a job with more than that takes an empty worker.
    pub total: u32,
}

impl Room {
    /// Whether a job of this many images fits.
    #[must_use]
    pub fn fits(self, images: u32) -> bool {
        images.min(self.total) <= self.free
    }
}

/// A running job, and the right to end or release it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// As the claim left it in the store: running, under the claim's epoch.
    pub job: Arc<Job>,
    /// Canceled once the job's cancellation was requested.
    pub cancel: CancellationToken,
    /// Within the trace of its request, if that was accepted in another process; otherwise none.
    pub span: tracing::Span,
}

/// What [`Broker::claim`] found.
#[derive(Debug)]
pub enum Claimed {
    Job(Claim),
    /// This job waited here, but is not queued any more: another process has it, or it was canceled or deleted.
    Gone(Uuid),
}

/// Why a claim is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The process stops; nothing is wrong with the job.
    Returned,
    /// The worker was lost while it had the job. Counts against the job.
    Lost,
    /// The worker was lost, and that is not held against the job here.
    Innocent,
}

/// A queue of jobs, shared by those who submit and those who work.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Where events of jobs go and come from.
    fn events(&self) -> &dyn EventBus;

    /// Whether every published job is claimed in this process. Otherwise all that a worker needs has to be in the store.
    fn shares_memory(&self) -> bool;

    /// Where a job would wait if it were published now.
    fn place_for(&self, work: &QueuedWork) -> Place;

    /// Offer a queued job to the workers. Publishing it again changes nothing. A durable job is refused once the broker is
    /// closed.
    async fn publish(&self, work: QueuedWork) -> Result<(), BrokerError>;

    /// Tell the other processes how this one gets on; `None`: it works no more.
    async fn report(&self, report: Option<WorkerReport>) {
        let _ = report;
    }

    /// What is known of the fleet that this process is a part of. `None`: there is no other process.
    fn fleet(&self) -> Option<FleetReport> {
        None
    }

    /// Whether a job that is published now can reach the queue.
    fn is_reachable(&self) -> bool {
        true
    }

    /// Whether jobs are missing from the queue, of `unfinished` ones that the store has: those that are queued there are to be
    /// published again.
    async fn lacks_jobs(&self, unfinished: u64) -> bool {
        let _ = unfinished;
        false
    }

    /// Jobs that wait, in their order, of those that are listened to in this process.
    fn places(&self) -> Vec<Place>;

    /// Claim the first job, if it fits. `None`: nothing waits that fits. After an error the job still waits.
    ///
    /// The future is to be run to its end: dropped half-way, it may leave a job claimed without a worker.
    async fn claim(&self, room: Room) -> Result<Option<Claimed>, BrokerError>;

    /// Resolves when [`Broker::claim`] may find something new. Can be dropped.
    async fn work_available(&self);

    /// The lease under which this process holds the jobs that it claims, and those that are attached to its connections.
    fn lease(&self) -> Lease;

    /// How often [`Broker::extend`] is due.
    fn extension_interval(&self) -> Duration;

    /// Extend the leases of this process, and cancel the claims of jobs whose cancellation was requested.
    async fn extend(&self) -> Result<(), BrokerError>;

    /// End a claimed job in the store, and the claim with it. False, and nothing is done, if the claim is not the newest.
    async fn acknowledge(&self, claim: &Claim, end: &JobEnd<'_>) -> Result<bool, BrokerError>;

    /// Put a claimed job back into the queue. False, and nothing is done, if the claim is not the newest.
    async fn release(&self, claim: &Claim, release: Release) -> Result<bool, BrokerError>;

    /// Cancel the claim of a job, now or as soon as there is one.
    fn cancel(&self, job: Uuid);

    /// Drop what this process knows of a job: it ended, or goes on elsewhere.
    fn forget(&self, job: Uuid);

    /// The process is about to stop: from now on durable jobs are not claimed here. Gives those that waited; they are in
    /// the store, for another process or the next start.
    fn close(&self) -> Vec<Uuid>;
}

/// Carries what happens to jobs to those who listen, in whatever process they are.
pub trait EventBus: Send + Sync {
    /// Start a job's log, and listen to it from its first event on.
    fn open(&self, job: Uuid, owner: &str) -> Subscription;

    /// Announce an event of a job. Its end closes the log.
    fn announce(&self, job: Uuid, event: JobEvent);

    /// Tell the listeners of this process where a job waits, unless it has begun.
    fn tell_place(&self, job: Uuid, event: JobEvent);

    /// Close a job's log without an end: the job goes on elsewhere, or later.
    fn close(&self, job: Uuid);

    /// Listen to a job, from the event after number `after` on. `None`: it has ended, or nothing is known of it.
    fn watch(&self, job: Uuid, after: u64) -> Option<Subscription>;

    /// Listen to all jobs of an owner (`None`: to all jobs), from the event after number `after` on; without it, from now
    /// on.
    fn watch_owner(&self, owner: Option<&str>, after: Option<u64>) -> Subscription;

    /// End the streams over many jobs.
    fn close_owners(&self);
}
