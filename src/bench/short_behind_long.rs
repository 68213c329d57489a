//! How much longer a short job takes behind long ones.
//!
//! Invariant: only short jobs that began and ended while all the long ones were under way count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::BenchClient;
use super::drive;
use super::error::BenchError;
use super::options::Options;
use super::record::{Ending, Observer, Record};
use super::stats::Latency;
use super::workload::Workload;

/// Short jobs timed on an idle server.
const ALONE: u64 = 5;
/// Numbers of the long jobs' requests, away from all others.
const LONG: u64 = 1 << 40;

/// The latency of short jobs, alone and behind long ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShortBehindLong {
    pub long_jobs: usize,
    pub long_steps: u32,
    pub short_steps: u32,
    pub alone: Latency,
    pub behind: Latency,
    /// Short jobs that were timed behind the long ones.
    pub shorts: usize,
    /// The first of the long jobs to end.
    pub long_ms: f64,
}

/// Time short jobs alone, then behind `long_jobs` jobs of `long_steps` decoder steps.
pub(super) async fn run(
    client: &Arc<BenchClient>,
    options: &Options,
    long_jobs: usize,
    long_steps: u32,
    observer: &Arc<Observer>,
) -> Result<(Vec<Record>, ShortBehindLong), BenchError> {
    let mut records = Vec::new();
    let mut alone = Vec::new();
    for index in 0..ALONE {
        alone.extend(short(client, options, index, observer, &mut records).await);
    }
    let alone = Latency::summarize(alone).ok_or_else(|| failure(&records))?;

    let long = Workload { steps: vec![long_steps], ..options.workload.clone() };
    let over = Arc::new(AtomicBool::new(false));
    let mut running = JoinSet::new();
    let started = Instant::now();
    for job in 0..long_jobs {
        let request = long.request(LONG + job as u64);
        let (client, over) = (Arc::clone(client), Arc::clone(&over));
        running.spawn(async move {
            let record = drive::timed(&client, &request, started).await;
            over.store(true, Ordering::SeqCst);
            record
        });
    }
    // Long enough for all of them to have arrived and begun, short against how long they take.
    tokio::time::sleep(Duration::from_secs_f64(alone.p50_ms / 1e3)).await;
    let mut behind = Vec::new();
    for index in ALONE.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let latency = short(client, options, index, observer, &mut records).await;
        if !over.load(Ordering::SeqCst) {
            behind.extend(latency);
        }
    }
    let longs = running.join_all().await;
    for record in &longs {
        observer(record);
    }
    let long_ms = longs.iter().map(|record| record.latency.as_secs_f64() * 1e3).fold(f64::INFINITY, f64::min);
    records.extend(longs);
    let shorts = behind.len();
    let behind = match Latency::summarize(behind) {
        Some(behind) => behind,
        None if records.iter().any(|record| !matches!(record.ending, Ending::Done { .. })) => {
            return Err(failure(&records));
        }
        None => return Err(BenchError::LongTooShort),
    };
    let short_steps = options.workload.steps.first().copied().unwrap_or_default();
    Ok((records, ShortBehindLong { long_jobs, long_steps, short_steps, alone, behind, shorts, long_ms }))
}

/// Send short job number `index` and give its latency if it was done.
async fn short(
    client: &BenchClient,
    options: &Options,
    index: u64,
    observer: &Arc<Observer>,
    records: &mut Vec<Record>,
) -> Option<Duration> {
    let record = drive::timed(client, &options.workload.request(index), Instant::now()).await;
    observer(&record);
    let latency = matches!(record.ending, Ending::Done { .. }).then_some(record.latency);
    if let Ending::Rejected { retry_after } = record.ending {
        tokio::time::sleep(client.pause(retry_after)).await;
    }
    records.push(record);
    latency
}

fn failure(records: &[Record]) -> BenchError {
    let said = records.iter().find_map(|record| match &record.ending {
        Ending::Failed(why) => Some(why.clone()),
        Ending::Done { .. } | Ending::Rejected { .. } => None,
    });
    BenchError::NothingDone(said.unwrap_or_else(|| "the server rejected everything".to_owned()))
}
