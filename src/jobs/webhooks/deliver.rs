//! Delivery of webhooks from the outbox, signed as Standard Webhooks says (standardwebhooks.com, version 1).
//!
//! Invariant: a delivery is completed only after its receiver accepted it, so each is made at least once; a receiver tells
//! repetitions by `webhook-id`.

use std::sync::Arc;
use std::time::Duration;

use super::transport::{WebhookConfig, WebhookTransport};
use crate::jobs::state::State;
use crate::metrics;
use crate::store::Delivery;

/// How long one process keeps others from trying the same delivery.
const LEASE_MS: i64 = 120_000;
/// Deliveries under way at once.
const BATCH: u32 = 16;
/// How often the outbox is polled: for deliveries of other processes, and those that are due again.
const POLL: Duration = Duration::from_secs(1);

/// Deliver what is in the outbox until the service closes.
pub(crate) async fn deliver(state: Arc<State>, config: WebhookConfig, transport: Arc<dyn WebhookTransport>) {
    loop {
        let now = state.now_ms();
        match state.store.lease_due_deliveries(now, now + LEASE_MS, BATCH).await {
            Ok(due) if due.is_empty() => {}
            Ok(due) => {
                let attempts = due.iter().map(|delivery| attempt(&state, &config, &*transport, delivery));
                futures_util::future::join_all(attempts).await;
                if !state.closed.is_cancelled() {
                    continue;
                }
            }
            Err(error) => tracing::warn!(%error, "the outbox cannot be read"),
        }
        tokio::select! {
            () = state.closed.cancelled() => return,
            () = state.outbox.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn attempt(state: &State, config: &WebhookConfig, transport: &dyn WebhookTransport, delivery: &Delivery) {
    let timestamp = state.config.clock.now().as_second();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("webhook-id", delivery.id.clone()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", config.signer.sign(&delivery.id, timestamp, &delivery.payload)),
    ];
    let answer = transport.post(&delivery.url, &headers, delivery.payload.clone().into_bytes()).await;
    let attempts = delivery.attempts + 1;
    let recorded = match answer {
        Ok(200..=299) => {
            tracing::info!(job.id = %delivery.job, webhook.id = delivery.id, webhook.attempts = attempts, "delivered");
            metrics::WEBHOOK_DELIVERIES.add(1, ["delivered"]);
            state.store.complete_delivery(&delivery.id).await
        }
        other => {
            let pause = config.retry.pause_after(attempts);
            tracing::warn!(
                job.id = %delivery.job, webhook.id = delivery.id, webhook.attempts = attempts, webhook.answer = ?other,
                webhook.again_s = pause.map(|pause| pause.as_secs()), "not delivered"
            );
            metrics::WEBHOOK_DELIVERIES.add(1, [if pause.is_some() { "retried" } else { "given_up" }]);
            let pause_ms = pause.map(|pause| i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
            let due_at = pause_ms.map(|pause| state.now_ms().saturating_add(pause));
            state.store.postpone_delivery(&delivery.id, due_at).await
        }
    };
    if let Err(error) = recorded {
        // It will be delivered once more when its lease has ended.
        tracing::warn!(webhook.id = delivery.id, %error, "the result of a delivery cannot be stored");
    }
}
