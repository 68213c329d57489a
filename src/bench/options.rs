//! What a benchmark measures.

use std::time::Duration;

use super::workload::Workload;

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrafficPattern {
    /// This many clients, each of which waits for its response before it sends the next request.
    Closed { clients: usize },
    /// A Poisson process with this many requests a second, however long responses take.
    Open { rate: f64 },
    /// Long jobs first, and short ones behind them, one after the other.
    ShortBehindLong { long_jobs: usize, long_steps: u32 },
}

/// When no more requests are sent. Those that have been sent are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Requests(u64),
    Elapsed(Duration),
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's address, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Sent as a bearer token.
    pub key: Option<String>,
    pub pattern: TrafficPattern,
    pub until: Until,
    pub workload: Workload,
    /// Requests before the clock starts, one after the other.
    pub warm_up: u64,
    /// Timeout of one request.
    pub timeout: Duration,
    /// Longest pause after a rejection, whatever `Retry-After` says.
    pub longest_pause: Duration,
}
