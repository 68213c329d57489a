//! Cancels the jobs of keys that were revoked.
//!
//! Invariant: a job that waits or runs ends within a few seconds of its key's revocation, unless the key keeps its jobs.

use std::sync::Arc;
use std::time::Duration;

use super::state::State;
use crate::store::StoreError;

/// How often keys are asked about.
const INTERVAL: Duration = Duration::from_secs(2);
/// Jobs canceled at once.
const PAGE: u32 = 100;

/// Cancel them, until the service closes.
pub(super) async fn cancel_unwanted(state: Arc<State>) {
    loop {
        tokio::select! {
            () = state.closed.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if let Err(error) = cancel_all(&state).await {
            tracing::warn!(%error, "jobs of revoked keys cannot be canceled yet");
        }
    }
}

async fn cancel_all(state: &State) -> Result<(), StoreError> {
    loop {
        let unwanted = state.store.list_unwanted(PAGE).await?;
        if unwanted.is_empty() {
            return Ok(());
        }
        tracing::info!(jobs = unwanted.len(), "canceling jobs whose key was revoked");
        for id in unwanted {
            if let Some(job) = state.store.get(id).await? {
                state.cancel_job(&job).await?;
            }
        }
    }
}
