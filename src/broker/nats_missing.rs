//! What stands in for `nats.rs` in a build without the feature `fleet`.
//!
//! Invariant: the function has the broker's signature, so that no caller depends on what was built.

use std::sync::Arc;

use super::nats_config::NatsConfig;
use super::traits::{Broker, BrokerError};
use crate::clock::Clock;
use crate::store::JobStore;

/// Fails: this build has no client for NATS.
#[expect(clippy::unused_async, reason = "the signature of the other one")]
pub async fn connect_nats(
    _config: NatsConfig,
    _store: Arc<dyn JobStore>,
    _clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Broker>, BrokerError> {
    let message = "this build has no client for NATS: build it with --features fleet".to_owned();
    Err(BrokerError { message, is_full: false })
}
