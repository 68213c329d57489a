//! The way from jobs to workers: what waits, who has claimed it, and what happens to it meanwhile.
//!
//! Invariants: a job is claimed under a new epoch each time, and only its newest claim can end or release it (the store
//! decides that, whatever the broker believes); the last event of a job is its end; what a broker forgets is still in the
//! store, where `jobs` finds it and publishes it again.
//!
//! [`LocalBroker`] serves workers in this process, [`connect_nats`] gives one that reaches workers on other machines. A further
//! one is another file beside them that implements [`Broker`] and [`EventBus`], and passes the same contract
//! (`tests/jobs/contract.rs`).

mod events;
mod feed;
mod line;
mod local;
mod log;
#[cfg_attr(not(feature = "fleet"), path = "broker/nats_missing.rs")]
mod nats;
mod nats_config;
pub(crate) mod pull_order;
mod traits;
mod workers;

pub use events::{Files, JobEvent, NumberedEvent};
pub use feed::Feed;
pub use local::{LocalBroker, LocalConfig};
pub use log::Subscription;
pub use nats::{connect_nats, read_fleet};
pub use nats_config::NatsConfig;
pub use traits::{Broker, BrokerError, Claim, Claimed, EventBus, Place, QueuedWork, Release, Room};
pub use workers::{
    FORGOTTEN_AFTER, FleetReport, QueueReport, REPORT_INTERVAL, SILENT_AFTER, WorkerInfo, WorkerReport, WorkerState,
};
