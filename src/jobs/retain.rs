//! Retention: files of expired jobs are deleted, and some time later the jobs themselves.

use std::sync::Arc;

use super::state::State;
use crate::store::StoreError;

/// Jobs purged at once.
const PAGE: u32 = 100;

/// Sweep until the service closes.
pub(super) async fn delete_expired(state: Arc<State>) {
    loop {
        if let Err(error) = sweep(&state).await {
            tracing::warn!(%error, "expired jobs cannot be deleted");
        }
        tokio::select! {
            () = state.closed.cancelled() => return,
            () = tokio::time::sleep(state.config.clean_interval) => {}
        }
    }
}

async fn sweep(state: &State) -> Result<(), StoreError> {
    loop {
        let expired = state.store.list_expired(state.now_ms(), PAGE).await?;
        if expired.is_empty() {
            break;
        }
        for id in &expired {
            state.blobs.delete(*id, "").await?;
        }
        state.store.mark_purged(&expired).await?;
        tracing::info!(jobs = expired.len(), "deleted the files of expired jobs");
    }
    let forget_ms = i64::try_from(state.config.forget_after.as_millis()).unwrap_or(i64::MAX);
    let deleted = state.store.delete_expired(state.now_ms().saturating_sub(forget_ms)).await?;
    if deleted > 0 {
        tracing::debug!(jobs = deleted, "deleted expired jobs");
    }
    Ok(())
}
