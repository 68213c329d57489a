//! What the jobs room is set up with.

use std::sync::Arc;
use std::time::Duration;

use super::policy::Capacity;
use super::webhooks::transport::{WebhookConfig, WebhookTransport};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::generation::ImageGenerator;
use crate::imaging::Encoder;
use crate::journal::Journal;
use crate::moderation::OutputModeration;
use crate::store::{BlobStore, JobStore};

/// What a process does for the jobs of all that share the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Everything.
    #[default]
    Server,
    /// Accepts requests and keeps the stores in order; others do the work.
    Api,
    /// Works, and does nothing else.
    Worker,
}

impl Role {
    /// Whether it claims jobs.
    #[must_use]
    pub fn works(self) -> bool {
        self != Self::Api
    }

    /// Whether it accepts requests.
    #[must_use]
    pub fn accepts(self) -> bool {
        self != Self::Worker
    }
}

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    pub role: Role,
    pub capacity: Capacity,
    /// Most images that one worker has in flight.
    pub max_images_in_flight: u32,
    /// A job fails once so many workers in a row died at the same step of it, while they executed it alone.
    pub most_losses: i64,
    /// A durable job that was lost this often fails, whatever is known of the causes.
    pub most_unexplained_losses: i64,
    /// What part of the queue that others leave one key may hold.
    pub owner_share: f64,
    /// Most jobs that are kept for an owner, and most bytes of their requests; those that have ended are evicted beyond that.
    pub most_kept: KeptBound,
    /// What the workers execute is noted there.
    pub journal: Journal,
    /// How long jobs and images are kept after their end.
    pub ttl: Duration,
    /// How long an expired job still answers that it expired.
    pub forget_after: Duration,
    /// Interval of the retention sweep.
    pub clean_interval: Duration,
    /// The server's own address for webhooks, without a slash at its end; empty: they carry relative addresses.
    pub public_url: String,
    /// Whether no other process uses the store: whatever runs in it when this one starts, was lost.
    pub exclusive: bool,
    /// Writes the files of images.
    pub encoder: Arc<Encoder>,
    /// Moderation of finished images; `None` turns it off.
    pub output_moderation: Option<Arc<OutputModeration>>,
    pub clock: Arc<dyn Clock>,
}

/// What is kept for an owner at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptBound {
    pub jobs: u64,
    pub bytes: u64,
}

/// What the jobs room works with.
pub struct JobBackends {
    pub generator: Arc<dyn ImageGenerator>,
    pub broker: Arc<dyn Broker>,
    pub store: Arc<dyn JobStore>,
    pub blobs: Arc<dyn BlobStore>,
    /// `None` turns webhooks off.
    pub webhooks: Option<(WebhookConfig, Arc<dyn WebhookTransport>)>,
}
