//! Delivery of webhooks from the outbox, signed as Standard Webhooks says (standardwebhooks.com, version 1).
//!
//! Invariants: a delivery is completed only after its receiver accepted it, so each is made at least once (a receiver tells
//! repetitions by `webhook-id`); as one ends the next begins, and no receiver and no owner has all of those under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};

use super::transport::{WebhookConfig, WebhookTransport};
use crate::jobs::state::State;
use crate::metrics;
use crate::store::{Delivery, DeliveryQuery};

/// How long one process keeps others from trying the same delivery.
const LEASE_MS: i64 = 120_000;
/// Deliveries under way at once; to one receiver; and about jobs of one owner.
const MOST: usize = 64;
const MOST_OF_HOST: usize = 8;
const MOST_OF_OWNER: usize = 32;
/// Deliveries leased at once.
const BATCH: usize = 4;
/// How often the outbox is polled: for deliveries of other processes, and those that are due again.
const POLL: Duration = Duration::from_secs(1);

/// Deliveries under way.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    /// Host and owner of each.
    of: HashMap<Id, (String, String)>,
}

impl UnderWay {
    /// The values that so many deliveries have that another batch might exceed `most`.
    fn busy(&self, most: usize, value: impl Fn(&(String, String)) -> &String) -> Vec<String> {
        let mut counts: HashMap<&String, usize> = HashMap::new();
        // Deliveries from before hosts were kept, and jobs where keys are off, have an empty one.
        for value in self.of.values().map(value).filter(|value| !value.is_empty()) {
            *counts.entry(value).or_default() += 1;
        }
        counts.into_iter().filter(|(_, count)| count + BATCH > most).map(|(value, _)| value.clone()).collect()
    }

    /// Wait until one has ended. Pending if there is none.
    async fn next_end(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => drop(self.of.remove(&id)),
            Some(Err(error)) => {
                tracing::error!(%error, "a delivery panicked; it is made again when its lease has ended");
                self.of.remove(&error.id());
            }
            None => std::future::pending().await,
        }
    }
}

/// Deliver what is in the outbox until the service closes.
pub(crate) async fn deliver(state: Arc<State>, config: WebhookConfig, transport: Arc<dyn WebhookTransport>) {
    let mut under_way = UnderWay::default();
    while !state.closed.is_cancelled() {
        while under_way.of.len() < MOST {
            let due = lease(&state, &under_way).await;
            if due.is_empty() {
                break;
            }
            for delivery in due {
                let of = (delivery.host.clone(), delivery.owner.clone());
                let (state, config, transport) = (state.clone(), config.clone(), transport.clone());
                let task = under_way.tasks.spawn(async move { attempt(&state, &config, &*transport, &delivery).await });
                under_way.of.insert(task.id(), of);
            }
        }
        tokio::select! {
            () = state.closed.cancelled() => {}
            () = under_way.next_end() => {}
            () = state.outbox.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    while !under_way.of.is_empty() {
        under_way.next_end().await;
    }
}

async fn lease(state: &State, under_way: &UnderWay) -> Vec<Delivery> {
    let now = state.now_ms();
    let query = DeliveryQuery {
        now,
        lease_until: now + LEASE_MS,
        limit: u32::try_from(BATCH.min(MOST - under_way.of.len())).unwrap_or(1),
        busy_hosts: &under_way.busy(MOST_OF_HOST, |(host, _)| host),
        busy_owners: &under_way.busy(MOST_OF_OWNER, |(_, owner)| owner),
    };
    state.store.lease_deliveries(&query).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the outbox cannot be read");
        Vec::new()
    })
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
