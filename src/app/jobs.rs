//! The service of jobs, as configured, and what brings jobs to workers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use uuid::Uuid;

use super::memory::MemoryBounds;
use crate::broker::{Broker, LocalBroker, LocalConfig, NatsConfig, connect_nats};
use crate::clock::{Clock, SteadyClock, SyncedClock, SystemClock};
use crate::config::{Config, StoreLocation};
use crate::imaging::Encoder;
use crate::jobs::{Capacity, JobsConfig, KeptBound, Role};
use crate::journal::Journal;
use crate::moderation::OutputModeration;
use crate::store::JobStore;

/// How often the clock of the database is asked for.
const SYNC: Duration = Duration::from_secs(20);
/// An answer that took longer says too little.
const LONGEST_SYNC: Duration = Duration::from_millis(100);

pub(super) fn jobs_config(
    (config, role, memory): (&Config, Role, &MemoryBounds),
    encoder: Arc<Encoder>,
    output_moderation: Option<Arc<OutputModeration>>,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> JobsConfig {
    JobsConfig {
        role,
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
        clock,
    }
}

/// The clocks of a process: that of jobs, and the one that leases are compared by.
pub(super) async fn clocks(
    config: &Config,
    store: &Arc<dyn JobStore>,
) -> anyhow::Result<(Arc<dyn Clock>, Arc<dyn Clock>)> {
    if !config.is_fleet() {
        // Leases are compared with other machines' clocks.
        return Ok((Arc::new(SteadyClock::default()), Arc::new(SystemClock)));
    }
    // All processes of a fleet go by one clock, the database's.
    let (now_us, at, _) = ask_time(&**store).await?;
    let clock = Arc::new(SyncedClock::new(now_us, at));
    let (weak, store) = (Arc::downgrade(&clock), store.clone());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SYNC).await;
            let Some(clock) = weak.upgrade() else { return };
            match ask_time(&*store).await {
                Ok((now_us, at, took)) if took <= LONGEST_SYNC => clock.set(now_us, at),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the clock of the database cannot be read"),
            }
        }
    });
    Ok((clock.clone(), clock))
}

/// The database's time (µs since 1970), when that was, and how long it took to hear of it.
async fn ask_time(store: &dyn JobStore) -> anyhow::Result<(i64, Instant, Duration)> {
    let asked = Instant::now();
    let now_us = store.now_us().await.context("the clock of the database cannot be read")?;
    let took = asked.elapsed();
    Ok((now_us, asked + took / 2, took))
}

/// What brings jobs to workers: the only place that names the implementations.
pub(super) async fn broker(
    (config, role): (&Config, Role),
    model: &str,
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Broker>> {
    let (process, lease) = (Uuid::now_v7().to_string(), Duration::from_secs(config.queue.lease_s));
    if !config.is_fleet() {
        return Ok(Arc::new(LocalBroker::new(LocalConfig { process, lease }, store, clock)));
    }
    let nats = nats_config(config, role, model.to_owned(), process);
    connect_nats(nats, store, clock).await.context("broker.url")
}

/// How a process takes part in the configured fleet.
pub(super) fn nats_config(config: &Config, role: Role, model: String, process: String) -> NatsConfig {
    NatsConfig {
        url: config.broker.url.clone(),
        credentials: config.broker.credentials.clone(),
        prefix: config.broker.prefix.clone(),
        replicas: config.broker.replicas,
        model,
        process,
        host: host_name(),
        lease: Duration::from_secs(config.queue.lease_s),
        accepts: role.accepts(),
    }
}

/// The name of this machine or container, for people.
fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    name.trim().to_owned()
}
