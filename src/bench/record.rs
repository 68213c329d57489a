//! How a request ended.

use std::time::Duration;

use crate::modes::Mode;

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Done { images: u64 },
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

/// Called for every request that ended.
pub type Observer = dyn Fn(&Record) + Send + Sync;
