//! Load for a running server, and what it made of it.
//!
//! Invariant: the same options give the same requests in the same order, whatever the server does with them; and a time
//! is taken from the moment a request was due, so that a slow server cannot hide behind a waiting client.

mod arrivals;
mod batches;
mod client;
mod drive;
mod report;
mod short_behind_long;
mod stats;
mod workload;

use std::sync::Arc;
use std::time::Duration;

pub use arrivals::Arrivals;
pub use batches::Batches;
pub use report::{ModeReport, Rejections, Report};
pub use short_behind_long::ShortBehindLong;
pub use stats::Latency;
pub use workload::{MixPart, Workload};

use crate::modes::Mode;
use client::Client;

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// So many clients, each of which waits for its answer before it asks again.
    Closed { clients: usize },
    /// A Poisson process with so many requests a second, however long the answers take.
    Open { rate: f64 },
    /// Long jobs first and a short one after the other behind them.
    ShortBehindLong { long_jobs: usize, long_steps: u32 },
}

/// When it ends. What has been sent by then is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Requests(u64),
    Elapsed(Duration),
}

/// A benchmark.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's address, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Sent as a bearer token.
    pub key: Option<String>,
    pub load: Load,
    pub until: Until,
    pub workload: Workload,
    /// Requests before the clock starts, one after the other.
    pub warm_up: u64,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// Longest pause after a rejection, whatever `Retry-After` says.
    pub longest_pause: Duration,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{0}: not the address of a server")]
    Url(String),
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
    #[error("the server failed while it was warmed up: {0}")]
    WarmUp(String),
    #[error("the long jobs ended before a short one did, so nothing was measured: give them more steps")]
    LongTooShort,
    #[error("no request was done: {0}")]
    NothingDone(String),
}

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Done { pictures: u64 },
    Rejected { retry_after: Option<Duration> },
    Failed(String),
}

/// One request that ended.
#[derive(Debug, Clone)]
pub struct Record {
    pub mode: Mode,
    pub latency: Duration,
    pub ending: Ending,
}

/// Told of every request that ended.
pub type Watch = dyn Fn(&Record) + Send + Sync;

/// Put the load on the server and report.
pub async fn run(options: &Options, watch: Arc<Watch>) -> Result<Report, BenchError> {
    let client = Arc::new(Client::new(options)?);
    for index in 0..options.warm_up {
        // Seeds of their own, so that nothing measured has been seen before.
        let request = options.workload.request(u64::MAX - index);
        match client.send_patiently(&request).await {
            Ending::Failed(why) => return Err(BenchError::WarmUp(why)),
            Ending::Done { .. } | Ending::Rejected { .. } => {}
        }
    }
    let before = client.metrics().await;
    let started = tokio::time::Instant::now();
    let (records, short) = match options.load {
        Load::Closed { clients } => (drive::closed(&client, options, clients, &watch).await, None),
        Load::Open { rate } => (drive::open(&client, options, rate, &watch).await, None),
        Load::ShortBehindLong { long_jobs, long_steps } => {
            let (records, short) = short_behind_long::run(&client, options, long_jobs, long_steps, &watch).await?;
            (records, Some(short))
        }
    };
    let elapsed = started.elapsed();
    let batches = Batches::between(before, client.metrics().await);
    Ok(Report::new(options, client.model(), elapsed, &records, batches, short))
}
