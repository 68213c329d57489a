//! Delivery of webhooks from the outbox, signed as Standard Webhooks says (standardwebhooks.com, version 1).
//!
//! Invariant: a delivery is marked as done only after its receiver took it, so each is made at least once; a receiver tells
//! repetitions by `webhook-id`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{Inner, now_ms};
use crate::metrics;
use crate::signature;
use crate::store::Delivery;

/// Wait before the second attempt; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How long one process keeps others from trying the same delivery.
const LEASE_MS: i64 = 120_000;
/// Deliveries under way at once.
const BATCH: u32 = 16;
/// How often the outbox is looked into without a reason.
const POLL: Duration = Duration::from_secs(1);

/// How deliveries are signed and repeated.
#[derive(Clone)]
pub struct WebhookConfig {
    /// `whsec_` and base64.
    pub secret: SecretString,
    pub max_attempts: u32,
    /// Wait before the second attempt.
    pub first_pause: Duration,
}

impl WebhookConfig {
    /// The usual pauses.
    #[must_use]
    pub fn new(secret: SecretString, max_attempts: u32) -> Self {
        Self { secret, max_attempts, first_pause: FIRST_PAUSE }
    }
}

/// Takes a message to its receiver.
#[async_trait]
pub trait WebhookTransport: Send + Sync {
    /// Post `body`; the status of the answer, or what went wrong.
    async fn post(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<u16, String>;
}

/// Wait after attempt number `attempts` (from 1) failed.
fn pause(first: Duration, attempts: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1))).min(LONGEST_PAUSE)
}

/// Deliver what is in the outbox until the queue closes.
pub(super) async fn deliver(inner: Arc<Inner>, config: WebhookConfig, courier: Arc<dyn WebhookTransport>) {
    loop {
        let now = now_ms();
        match inner.jobs.due_deliveries(now, now + LEASE_MS, BATCH).await {
            Ok(due) if due.is_empty() => {}
            Ok(due) => {
                let attempts = due.iter().map(|delivery| attempt(&inner, &config, &*courier, delivery));
                futures_util::future::join_all(attempts).await;
                continue;
            }
            Err(error) => tracing::warn!(%error, "the outbox cannot be read"),
        }
        tokio::select! {
            () = inner.closed.cancelled() => return,
            () = inner.outbox.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn attempt(inner: &Inner, config: &WebhookConfig, courier: &dyn WebhookTransport, delivery: &Delivery) {
    let timestamp = Timestamp::now().as_second();
    let Some(signature) = signature::sign(&config.secret, &delivery.id, timestamp, &delivery.payload) else {
        tracing::error!("the webhook secret is not base64; nothing is delivered");
        return;
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("webhook-id", delivery.id.clone()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signature),
    ];
    let answer = courier.post(&delivery.url, &headers, delivery.payload.clone().into_bytes()).await;
    let attempts = delivery.attempts + 1;
    let noted = match answer {
        Ok(200..=299) => {
            tracing::info!(job.id = %delivery.job, webhook.id = delivery.id, webhook.attempts = attempts, "delivered");
            metrics::WEBHOOK_DELIVERIES.add(1, ["delivered"]);
            inner.jobs.delivered(&delivery.id).await
        }
        other => {
            let again = (attempts < config.max_attempts).then(|| pause(config.first_pause, attempts));
            tracing::warn!(
                job.id = %delivery.job, webhook.id = delivery.id, webhook.attempts = attempts, webhook.answer = ?other,
                webhook.again_s = again.map(|pause| pause.as_secs()), "not delivered"
            );
            metrics::WEBHOOK_DELIVERIES.add(1, [if again.is_some() { "retried" } else { "given_up" }]);
            let due_at = again.map(|pause| now_ms().saturating_add(super::ms(pause)));
            inner.jobs.delivery_failed(&delivery.id, due_at).await
        }
    };
    if let Err(error) = noted {
        // It will be delivered once more when its lease has ended.
        tracing::warn!(webhook.id = delivery.id, %error, "a delivery cannot be noted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let pauses: Vec<u64> = (1..=12).map(|n| pause(FIRST_PAUSE, n).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
    }
}
