//! Keeps the leases of this process, and recovers jobs whose leases others let end.

use std::sync::Arc;

use super::state::State;

/// Extend leases, hear of cancellation requests, and take over what other processes lost, until the service closes.
pub(super) async fn extend_leases(state: Arc<State>) {
    let mut tick = tokio::time::interval(state.broker.extension_interval());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = state.closed.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = state.broker.extend().await {
            tracing::warn!(%error, "leases cannot be extended");
        }
        if state.is_draining() {
            continue;
        }
        let recovered = async {
            state.recover_lost(state.now_ms()).await?;
            state.adopt_queued().await
        };
        if let Err(error) = recovered.await {
            tracing::warn!(%error, "the queue in the store cannot be read");
        }
    }
}
