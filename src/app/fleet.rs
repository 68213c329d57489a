//! What a fleet does at this moment: its workers, its queues and its jobs, read from NATS and the database.
//!
//! Invariant: it is looked at, and nothing is changed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Serialize;

use super::jobs::nats_config;
use super::{features, stores};
use crate::broker::{QueueReport, WorkerInfo, WorkerState, read_fleet};
use crate::config::{Config, ConfigError, Violation};
use crate::domain::{JobState, Priority};
use crate::jobs::Role;
use crate::records::Job;
use crate::store::{Backlog, JobFilter};

/// Jobs that are read to see of which sizes they are.
const SAMPLE: u32 = 500;

/// A fleet at one moment.
#[derive(Debug, Serialize)]
pub struct FleetView {
    /// Of the names on the NATS servers.
    pub prefix: String,
    pub workers: Vec<WorkerInfo>,
    /// Those that have something, and those of models that a worker has loaded.
    pub queues: Vec<QueueReport>,
    pub jobs: JobsView,
    /// The newest jobs that wait or run, by model, priority and size.
    pub sizes: Vec<SizeView>,
}

/// All jobs that have not ended, and what became of claims.
#[derive(Debug, Serialize)]
pub struct JobsView {
    #[serde(flatten)]
    pub backlog: Backlog,
    /// By the workers that are there, since each started: claims of jobs that had been claimed before.
    pub redelivered: u64,
    /// Likewise: runs whose end was rejected.
    pub fenced: u64,
    /// How long it will take, at the measured rates of the workers that take jobs; `None`: none was measured.
    pub done_in_s: Option<f64>,
}

/// Jobs of one model, priority and size.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct SizeView {
    pub model: String,
    pub priority: Priority,
    /// `512x512`; `default`: the mode's own choice.
    pub size: String,
    pub waiting: u64,
    pub in_flight: u64,
}

/// Look at the configured fleet.
///
/// # Errors
/// The configuration is that of a single server, or NATS or the database does not answer.
pub async fn look(config: &Config) -> anyhow::Result<FleetView> {
    features::require(config)?;
    if !config.is_fleet() {
        let message = "this configuration is that of a single server, which has no fleet: `broker.url` is not set \
                       (docs/fleet.md); with the configuration of a fleet's processes (--config) this shows it";
        let violation = Violation { key: "broker.url".to_owned(), message: message.to_owned(), source: None };
        return Err(ConfigError::Invalid(vec![violation]).into());
    }
    let nats = nats_config(config, Role::Worker, String::new(), format!("fleet {}", std::process::id()));
    let store = stores::open_jobs(config).await?;
    let (workers, mut queues) = read_fleet(nats).await.context("broker.url")?;
    let models: Vec<&str> = workers.iter().map(|worker| worker.report.model.as_str()).collect();
    queues.retain(|queue| queue.waiting + queue.in_flight > 0 || models.contains(&queue.model.as_str()));
    let sample =
        async |state| store.list(&JobFilter { state: Some(state), limit: SAMPLE, ..JobFilter::default() }).await;
    let sizes = sizes(&sample(JobState::Queued).await?, &sample(JobState::Running).await?);
    let backlog = store.backlog().await?;
    let sum = |count: fn(&WorkerInfo) -> u64| workers.iter().map(count).sum();
    let jobs = JobsView {
        backlog,
        redelivered: sum(|worker| worker.report.redelivered),
        fenced: sum(|worker| worker.report.fenced),
        done_in_s: done_in_s(&workers, backlog.queued_cost),
    };
    Ok(FleetView { prefix: config.broker.prefix.clone(), workers, queues, jobs, sizes })
}

fn done_in_s(workers: &[WorkerInfo], cost: u64) -> Option<f64> {
    let ready = workers.iter().filter(|worker| worker.report.state == WorkerState::Ready);
    let per_ms: f64 = ready.filter_map(|worker| worker.report.cost_per_ms).sum();
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = cost as f64 / per_ms / 1e3;
    (per_ms > 0.0).then_some(seconds)
}

/// The model, the priority (the highest first) and the size.
type SizeKey = (String, Reverse<u8>, String);

fn sizes(queued: &[Job], running: &[Job]) -> Vec<SizeView> {
    let mut counts: BTreeMap<SizeKey, (Priority, u64, u64)> = BTreeMap::new();
    let all = queued.iter().map(|job| (job, true)).chain(running.iter().map(|job| (job, false)));
    for (job, waits) in all {
        let common = &job.spec.generation.common;
        let size = common.drawn.or(common.size);
        let size = size.map_or_else(|| "default".to_owned(), |size| format!("{}x{}", size.width, size.height));
        let priority = job.spec.priority;
        let key = (job.model.clone(), Reverse(priority.level()), size);
        let (_, waiting, in_flight) = counts.entry(key).or_insert((priority, 0, 0));
        *(if waits { waiting } else { in_flight }) += 1;
    }
    let view =
        |((model, _, size), (priority, waiting, in_flight))| SizeView { model, priority, size, waiting, in_flight };
    counts.into_iter().map(view).collect()
}
