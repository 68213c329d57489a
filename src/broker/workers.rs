//! What the processes of a fleet tell each other of themselves, and what its queues hold.
//!
//! Invariant: these are reports, for estimates and for people; no job is claimed, ended or lost by them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Priority;
use crate::store::Backlog;

/// How often a process that works says how it gets on.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(3);
/// A process that was not heard of for so long has missed reports.
pub const SILENT_AFTER: Duration = Duration::from_secs(8);
/// A process that was not heard of for so long is forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);

/// What a process that works does at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It takes jobs.
    Ready,
    /// It takes none for now: what it would make cannot be stored.
    Paused,
    /// It is about to stop, and finishes what it has.
    Draining,
    /// It has not been heard of for a while: it is stopped, overloaded, or cut off.
    Silent,
    /// Told by a later version.
    #[serde(other)]
    Other,
}

impl WorkerState {
    /// Those that are told or found out.
    pub const ALL: [Self; 4] = [Self::Ready, Self::Paused, Self::Draining, Self::Silent];

    /// The name in reports and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::Other => "other",
        }
    }
}

/// How a process that works gets on, as it tells itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    pub state: WorkerState,
    pub version: String,
    /// The model that it has loaded.
    pub model: String,
    /// The devices of its workers, separated by commas.
    pub devices: String,
    /// Jobs that it has claimed and not ended.
    pub jobs: u64,
    /// Images of those.
    pub images: u32,
    /// Images that it has in flight at most.
    pub room: u32,
    /// [`crate::modes::Generation::cost`] that it does in a ms, measured; `None`: it has done nothing yet.
    pub cost_per_ms: Option<f64>,
    /// Since it started: jobs claimed, ...
    pub claimed: u64,
    /// ... of those, jobs that another claim had before, ...
    pub redelivered: u64,
    /// ... and runs whose end was rejected, since the job had been claimed again meanwhile.
    pub fenced: u64,
    /// How long it has been running, s.
    pub uptime_s: u64,
}

/// A process that works, as others know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Unique in the fleet, and new with each start.
    pub id: String,
    /// The name of its machine, or container.
    pub host: String,
    #[serde(flatten)]
    pub report: WorkerReport,
    /// How long ago it was heard of, ms.
    #[serde(default)]
    pub silent_ms: u64,
}

impl WorkerInfo {
    /// As it is after having been silent for this long.
    #[must_use]
    pub fn after(mut self, silence: Duration) -> Self {
        self.silent_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        if silence >= SILENT_AFTER {
            self.report.state = WorkerState::Silent;
        }
        self
    }
}

/// What is known of a fleet from within.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FleetReport {
    pub workers: Vec<WorkerInfo>,
    /// Of the whole fleet; `None` where this process does not count it.
    pub backlog: Option<Backlog>,
}

/// A queue of a fleet: jobs of one model, of one priority, and of one group of sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueReport {
    pub model: String,
    pub priority: Priority,
    pub group: usize,
    /// Jobs that no worker has.
    pub waiting: u64,
    /// Jobs that a worker has.
    pub in_flight: u64,
    /// Those of them that another worker had before.
    pub redelivered: u64,
}
