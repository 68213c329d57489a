//! What stands in for `nats.rs` in a build without the feature `fleet`.
//!
//! Invariant: the functions have the broker's signatures, so that no caller depends on what was built.

use std::sync::Arc;

use super::nats_config::NatsConfig;
use super::traits::{Broker, BrokerError};
use super::workers::{QueueReport, WorkerInfo};
use crate::clock::Clock;
use crate::store::JobStore;

/// Fails: this build has no client for NATS.
#[expect(clippy::unused_async, reason = "the signature of the other one")]
pub async fn connect_nats(
    _config: NatsConfig,
    _store: Arc<dyn JobStore>,
    _clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Broker>, BrokerError> {
    Err(missing())
}

/// Fails: this build has no client for NATS.
#[expect(clippy::unused_async, reason = "the signature of the other one")]
pub async fn read_fleet(_config: NatsConfig) -> Result<(Vec<WorkerInfo>, Vec<QueueReport>), BrokerError> {
    Err(missing())
}

fn missing() -> BrokerError {
    let message = "this build has no client for NATS: build it with --features fleet".to_owned();
    BrokerError { message, is_full: false }
}
