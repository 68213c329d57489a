//! The service of jobs, as configured, and what brings jobs to workers.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::broker::{Broker, LocalBroker, LocalConfig};
use crate::clock::Clock;
use crate::config::{Config, StoreLocation};
use crate::imaging::Encoder;
use crate::jobs::{Capacity, JobsConfig, KeptBound};
use crate::journal::Journal;
use crate::moderation::OutputModeration;
use crate::store::JobStore;

/// How many times as often as at one step a job may be lost at all: deaths from outside are no fault of its.
const UNEXPLAINED: i64 = 30;

pub(super) fn jobs_config(
    config: &Config,
    encoder: Arc<Encoder>,
    output_moderation: Option<Arc<OutputModeration>>,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> JobsConfig {
    JobsConfig {
        capacity: Capacity {
            jobs: config.queue.max_jobs as u64,
            cost: config.queue.cost_limit(),
            input_bytes: config.queue.max_input_bytes as u64,
            working_bytes: config.queue.max_working_bytes as u64,
        },
        max_images_in_flight: u32::try_from(config.engine.max_pictures_in_flight).unwrap_or(u32::MAX),
        most_losses: i64::from(config.queue.most_losses),
        most_unexplained_losses: i64::from(config.queue.most_losses) * UNEXPLAINED,
        owner_share: config.queue.owner_share,
        most_kept: KeptBound { jobs: config.jobs.max_kept as u64, bytes: config.jobs.max_kept_bytes as u64 },
        journal,
        ttl: Duration::from_secs(config.jobs.ttl_s),
        forget_after: Duration::from_secs(config.jobs.forget_after_s),
        clean_interval: Duration::from_secs(config.jobs.clean_interval_s),
        public_url: config.server.public_url.clone(),
        // A folder's SQLite belongs to one process, which holds its lock.
        exclusive: matches!(config.store_location(), StoreLocation::Sqlite(_)),
        encoder,
        output_moderation,
        clock,
    }
}

/// What brings jobs to workers: the only place that names an implementation.
pub(super) fn broker(config: &Config, store: Arc<dyn JobStore>, clock: Arc<dyn Clock>) -> Arc<dyn Broker> {
    let lease = Duration::from_secs(config.queue.lease_s);
    Arc::new(LocalBroker::new(LocalConfig { process: Uuid::now_v7().to_string(), lease }, store, clock))
}
