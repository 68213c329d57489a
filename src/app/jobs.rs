//! The service of jobs, as configured, and what brings jobs to workers.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::memory::MemoryBounds;
use crate::broker::{Broker, LocalBroker, LocalConfig};
use crate::clock::{Clock, SteadyClock};
use crate::config::{Config, StoreLocation};
use crate::imaging::Encoder;
use crate::jobs::{Capacity, JobsConfig, KeptBound};
use crate::journal::Journal;
use crate::moderation::OutputModeration;
use crate::store::JobStore;

pub(super) fn jobs_config(
    config: &Config,
    memory: &MemoryBounds,
    encoder: Arc<Encoder>,
    output_moderation: Option<Arc<OutputModeration>>,
    journal: Journal,
) -> JobsConfig {
    JobsConfig {
        capacity: Capacity {
            jobs: config.queue.max_jobs as u64,
            cost: config.queue.cost_limit(),
            input_bytes: memory.inputs,
            working_bytes: memory.working,
        },
        max_images_in_flight: u32::try_from(config.engine.max_pictures_in_flight).unwrap_or(u32::MAX),
        most_losses: i64::from(config.queue.most_losses),
        // Deaths that nothing is known of may have come from outside, however many there are: they cost time alone.
        most_unexplained_losses: i64::MAX,
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
        clock: Arc::new(SteadyClock::default()),
    }
}

/// What brings jobs to workers: the only place that names an implementation.
pub(super) fn broker(config: &Config, store: Arc<dyn JobStore>, clock: Arc<dyn Clock>) -> Arc<dyn Broker> {
    let lease = Duration::from_secs(config.queue.lease_s);
    Arc::new(LocalBroker::new(LocalConfig { process: Uuid::now_v7().to_string(), lease }, store, clock))
}
