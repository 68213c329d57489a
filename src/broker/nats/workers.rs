//! Reports of the processes that work: each tells its own to all, and the NATS servers keep the last one of each for a while.
//!
//! Invariant: a process that is not heard of is first silent, then forgotten, by the clock of the one who asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::names::Names;
use super::relay::{Importance, Relay};
use super::streams::{Streams, last_messages};
use crate::broker::traits::BrokerError;
use crate::broker::workers::{FORGOTTEN_AFTER, WorkerInfo, WorkerReport};

/// Those that were heard of, and when.
type Heard = Arc<Mutex<HashMap<String, (WorkerInfo, Instant)>>>;

/// See the module.
pub(super) struct Workers {
    heard: Heard,
    names: Names,
    relay: Relay,
}

impl Workers {
    pub(super) fn new(names: Names, relay: Relay) -> Self {
        Self { heard: Heard::default(), names, relay }
    }

    /// Hear of all workers from now on, and of those that told of themselves before.
    pub(super) fn listen(&self, streams: Arc<Streams>, stop: CancellationToken) {
        let heard = self.heard.clone();
        self.relay.listen(self.names.all_workers(), move |mut messages| {
            tokio::spawn(async move {
                match read_reports(&streams).await {
                    Ok(known) => known.into_iter().for_each(|info| note(&heard, info)),
                    // They are heard of with their next report.
                    Err(error) => tracing::debug!(%error, "reports of workers cannot be read"),
                }
                loop {
                    let message = tokio::select! {
                        () = stop.cancelled() => return,
                        message = messages.next() => message,
                    };
                    let Some(message) = message else { return };
                    match serde_json::from_slice::<WorkerInfo>(&message.payload) {
                        Ok(info) => note(&heard, info),
                        // It is gone, in good order.
                        Err(_) => drop(message.subject.rsplit('.').next().map(|id| heard.lock().remove(id))),
                    }
                }
            });
        });
    }

    /// Tell all how this process gets on; `None`: it is gone.
    pub(super) fn report(&self, id: &str, host: &str, report: Option<WorkerReport>) {
        let info = report.map(|report| WorkerInfo { id: id.to_owned(), host: host.to_owned(), report, silent_ms: 0 });
        let bytes = info.and_then(|info| serde_json::to_vec(&info).ok()).unwrap_or_default();
        self.relay.send(self.names.worker(id), bytes, Importance::Detail);
    }

    /// Those that were heard of not too long ago, by their ids.
    pub(super) fn known(&self) -> Vec<WorkerInfo> {
        let mut heard = self.heard.lock();
        heard.retain(|_, (info, at)| silence(info, *at) < FORGOTTEN_AFTER);
        let mut known: Vec<WorkerInfo> =
            heard.values().map(|(info, at)| info.clone().after(silence(info, *at))).collect();
        known.sort_by(|a, b| a.id.cmp(&b.id));
        known
    }
}

fn silence(info: &WorkerInfo, heard: Instant) -> Duration {
    heard.elapsed().saturating_add(Duration::from_millis(info.silent_ms))
}

/// Note a report, unless a newer one is known.
fn note(heard: &Heard, info: WorkerInfo) {
    let mut heard = heard.lock();
    let is_older =
        heard.get(&info.id).is_some_and(|(known, at)| silence(known, *at) < Duration::from_millis(info.silent_ms));
    if !is_older {
        heard.insert(info.id.clone(), (info, Instant::now()));
    }
}

/// The last report of each process that the servers still keep.
pub(super) async fn read_reports(streams: &Streams) -> Result<Vec<WorkerInfo>, BrokerError> {
    let stream = streams.reports().await?;
    let mut found = Vec::new();
    for message in last_messages(&stream, String::new()).await? {
        let Ok(info) = serde_json::from_slice::<WorkerInfo>(&message.payload) else { continue };
        let silence_ms = message.info().ok().map_or(0, |at| {
            // By the clocks of the servers and of this machine: near enough for people.
            let told_ms = at.published.unix_timestamp_nanos() / 1_000_000;
            u64::try_from(i128::from(jiff::Timestamp::now().as_millisecond()) - told_ms).unwrap_or(0)
        });
        found.push(info.after(Duration::from_millis(silence_ms).min(FORGOTTEN_AFTER)));
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}
