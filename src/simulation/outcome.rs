//! What came of a simulation.

use std::time::Duration;

use serde::Serialize;

use crate::bench::Latency;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcome {
    pub jobs: u64,
    /// Jobs that admission let in no more.
    pub refused: u64,
    /// From arrival to the last step; with a flood, of those that it is not a part of and that come while it lasts.
    pub latency: Latency,
    /// Share of jobs whose first step was more than 10 s away.
    pub waited_long: f64,
    /// Rows of a step, on average.
    pub rows_per_step: f64,
    /// Share of the devices' time that was spent in steps.
    pub utilization: f64,
    /// Devices that were paid for, on average.
    pub devices: f64,
    pub device_hours: f64,
}

/// Sums while it runs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Arrivals in s, and how long it took.
    pub latencies: Vec<(f64, Duration)>,
    /// When the flood came, and when the last of it was done.
    pub flood: Option<(f64, f64)>,
    pub refused: u64,
    /// Arrivals of those whose first step was more than 10 s away.
    pub waited_long: Vec<f64>,
    pub steps: u64,
    pub rows: u64,
    pub busy_seconds: f64,
    pub device_seconds: f64,
}

impl Tally {
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^52")]
    pub(super) fn outcome(self, seconds: f64) -> Outcome {
        let counts = |at: f64| self.flood.is_none_or(|(from, until)| (from..until).contains(&at));
        let latencies: Vec<Duration> =
            self.latencies.iter().filter(|(at, _)| counts(*at)).map(|(_, latency)| *latency).collect();
        let jobs = latencies.len() as u64;
        Outcome {
            jobs,
            refused: self.refused,
            latency: Latency::summarize(latencies).unwrap_or_default(),
            waited_long: self.waited_long.iter().filter(|at| counts(**at)).count() as f64 / jobs.max(1) as f64,
            rows_per_step: self.rows as f64 / self.steps.max(1) as f64,
            utilization: self.busy_seconds / self.device_seconds.max(f64::MIN_POSITIVE),
            devices: self.device_seconds / seconds.max(f64::MIN_POSITIVE),
            device_hours: self.device_seconds / 3600.0,
        }
    }
}
