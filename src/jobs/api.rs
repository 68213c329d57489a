//! What callers of the jobs room pass in and get back.
//!
//! Invariant: dropping an [`AttachedGuard`] cancels its job unless that has ended.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::state::State;
use crate::broker::Subscription;
use crate::records::{Job, JobSpec};
use crate::store::{Idempotency, StoreError};

/// What an owner may have. `None`: no bound of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowance {
    /// Jobs waiting or running at once: in this process, or in all of a fleet.
    pub jobs: Option<u32>,
    /// Images per day (UTC), over all servers that share the store.
    pub daily_images: Option<u32>,
}

/// A request to be accepted.
#[derive(Debug)]
pub struct Submission {
    pub spec: JobSpec,
    pub owner: String,
    pub allowance: Allowance,
    /// Whether it outlives the connection and the process.
    pub durable: bool,
    pub idempotency: Option<Idempotency>,
    /// The id of the HTTP request, for logs.
    pub request_id: String,
}

/// Why a request is not accepted.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// Too much is waiting; there may be room after this long.
    Full {
        retry_after: Duration,
    },
    /// The owner holds its share of the queue; there may be room after this long.
    OwnShare {
        retry_after: Duration,
    },
    /// It brings more pixels than are ever held.
    TooLarge,
    /// The server is about to stop.
    Draining {
        retry_after: Duration,
    },
    /// The idempotency key belongs to another request.
    Conflict,
    /// The owner has as many jobs waiting or running as it may have.
    OwnJobs {
        most: u32,
        retry_after: Duration,
    },
    /// The owner's quota of the day does not cover the request; it is renewed after this long. `None`: the request asks for
    /// more than a whole day's quota.
    OwnImages {
        most: u32,
        retry_after: Option<Duration>,
    },
    Store(StoreError),
}

impl Refusal {
    /// The value of the label `reason` in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Full { .. } => "queue_full",
            Self::OwnShare { .. } => "owner_share",
            Self::TooLarge => "too_large",
            Self::Draining { .. } => "draining",
            Self::Conflict => "idempotency_conflict",
            Self::OwnJobs { .. } => "concurrency",
            Self::OwnImages { .. } => "quota",
            Self::Store(_) => "store",
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What became of a submission.
pub enum Accepted {
    New(AcceptedJob),
    /// The same request came before.
    Known(Box<Job>),
}

/// A new job.
pub struct AcceptedJob {
    pub job: Arc<Job>,
    /// From its first event on.
    pub events: Subscription,
    /// `None` for durable jobs.
    pub attached: Option<AttachedGuard>,
}

/// Ties a job to the life of its connection: dropping it cancels the job.
pub struct AttachedGuard {
    job: Arc<Job>,
    state: Weak<State>,
}

impl AttachedGuard {
    pub(super) fn new(job: Arc<Job>, state: &Arc<State>) -> Self {
        Self { job, state: Arc::downgrade(state) }
    }
}

impl Drop for AttachedGuard {
    fn drop(&mut self) {
        let Some(state) = self.state.upgrade().filter(|state| state.is_live(self.job.id)) else { return };
        // If it runs, it stops at its next step, whether the store answers or not.
        state.broker.cancel(self.job.id);
        if !state.broker.shares_memory() {
            // It has ended, or it is canceled where it is: its caller may send the next one at once.
            state.remove_live(self.job.id);
        }
        // If it waits, it must not wait for its turn only to be dropped then.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let job = self.job.clone();
            runtime.spawn(async move {
                if let Err(error) = state.cancel_job(&job).await {
                    tracing::warn!(job.id = %job.id, %error, "a job whose client is gone cannot be canceled yet");
                }
            });
        }
    }
}
