//! Closed and open loops.
//!
//! Invariant: every request that was sent is waited for and recorded. In a closed loop a rejected request is sent again
//! after the pause that the server asked for; in an open loop it is lost, as it would be with clients that do not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::client::BenchClient;
use super::options::{Options, Until};
use super::record::{Ending, Observer, Record};
use super::workload::Request;

/// Hands out the numbers of requests until it is time to stop.
struct RequestNumbers {
    next: AtomicU64,
    until: Until,
    started: Instant,
}

impl RequestNumbers {
    fn new(until: Until) -> Self {
        Self { next: AtomicU64::new(0), until, started: Instant::now() }
    }

    fn is_over(&self) -> bool {
        matches!(self.until, Until::Elapsed(limit) if self.started.elapsed() >= limit)
    }

    fn take(&self) -> Option<u64> {
        if self.is_over() {
            return None;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let within = !matches!(self.until, Until::Requests(count) if index >= count);
        within.then_some(index)
    }
}

/// `clients` clients that each wait for their answers.
pub(super) async fn closed(
    client: &BenchClient,
    options: &Options,
    clients: usize,
    observer: &Arc<Observer>,
) -> Vec<Record> {
    let tickets = RequestNumbers::new(options.until);
    let one = async || {
        let mut records = Vec::new();
        while let Some(index) = tickets.take() {
            let request = options.workload.request(index);
            loop {
                let record = timed(client, &request, Instant::now()).await;
                observer(&record);
                let ending = record.ending.clone();
                records.push(record);
                match ending {
                    Ending::Rejected { retry_after } => tokio::time::sleep(client.pause(retry_after)).await,
                    Ending::Done { .. } | Ending::Failed(_) => break,
                }
                if tickets.is_over() {
                    break;
                }
            }
        }
        records
    };
    futures_util::future::join_all((0..clients).map(|_| one())).await.concat()
}

/// Requests at random times, `rate` a second, each on its own.
pub(super) async fn open(
    client: &Arc<BenchClient>,
    options: &Options,
    rate: f64,
    observer: &Arc<Observer>,
) -> Vec<Record> {
    let tickets = RequestNumbers::new(options.until);
    let mut due = tickets.started;
    let mut sent = JoinSet::new();
    let last = match options.until {
        Until::Elapsed(limit) => Some(tickets.started + limit),
        Until::Requests(_) => None,
    };
    for gap in Arrivals::new(options.workload.seed, rate) {
        due += gap;
        if last.is_some_and(|last| due > last) {
            break;
        }
        let Some(index) = tickets.take() else { break };
        let request = options.workload.request(index);
        tokio::time::sleep_until(due).await;
        let (client, observer) = (Arc::clone(client), Arc::clone(observer));
        sent.spawn(async move {
            // From when it was due, even if this program was late.
            let record = timed(&client, &request, due).await;
            observer(&record);
            record
        });
    }
    sent.join_all().await
}

/// Send a request that was due at `due`.
pub(super) async fn timed(client: &BenchClient, request: &Request, due: Instant) -> Record {
    let ending = client.send(request).await;
    Record { mode: request.mode, latency: due.elapsed().max(Duration::ZERO), ending }
}
