//! The result, as tables for people and as JSON for programs.
//!
//! Invariant: both have the same content, and what could not be measured is named as such.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::batches::Batches;
use super::options::{Options, TrafficPattern};
use super::record::{Ending, Record};
use super::short_behind_long::ShortBehindLong;
use super::stats::Latency;
use crate::modes::Mode;

/// What came out of a benchmark.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub url: String,
    /// The name that the server gives.
    pub model: Option<String>,
    /// The traffic pattern, for people.
    pub load: String,
    pub seed: u64,
    /// From the first request to the end of the last one.
    pub seconds: f64,
    /// Requests that were done.
    pub requests: u64,
    pub images: u64,
    pub requests_per_second: f64,
    pub images_per_second: f64,
    /// Of requests that were done, each from when it was due (or offered again after a rejection).
    pub latency: Option<Latency>,
    pub modes: Vec<ModeReport>,
    pub rejections: Rejections,
    /// Failures and how often each was seen.
    pub errors: BTreeMap<String, u64>,
    pub batches: Batches,
    pub short_behind_long: Option<ShortBehindLong>,
}

/// One mode's part.
#[derive(Debug, Clone, Serialize)]
pub struct ModeReport {
    pub mode: Mode,
    pub requests: u64,
    pub images: u64,
    pub latency: Latency,
}

/// Responses with status 429 or 503.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rejections {
    pub count: u64,
    pub with_retry_after: u64,
    pub longest_retry_after_seconds: f64,
}

impl Rejections {
    fn of(records: &[Record]) -> Self {
        let mut all = Self::default();
        for record in records {
            let Ending::Rejected { retry_after } = record.ending else { continue };
            all.count += 1;
            if let Some(pause) = retry_after {
                all.with_retry_after += 1;
                all.longest_retry_after_seconds = all.longest_retry_after_seconds.max(pause.as_secs_f64());
            }
        }
        all
    }
}

impl Report {
    pub(super) fn new(
        options: &Options,
        model: Option<String>,
        elapsed: Duration,
        records: &[Record],
        batches: Batches,
        short_behind_long: Option<ShortBehindLong>,
    ) -> Self {
        let modes: Vec<ModeReport> = Mode::ALL.into_iter().filter_map(|mode| of_mode(records, mode)).collect();
        let (requests, images) = modes.iter().fold((0, 0), |(r, p), mode| (r + mode.requests, p + mode.images));
        let mut errors = BTreeMap::new();
        for record in records {
            if let Ending::Failed(why) = &record.ending {
                *errors.entry(why.clone()).or_insert(0) += 1;
            }
        }
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "no benchmark has 2^52 requests")]
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Self {
            url: options.url.clone(),
            model,
            load: options.pattern.to_string(),
            seed: options.workload.seed,
            seconds,
            requests,
            images,
            requests_per_second: per_second(requests),
            images_per_second: per_second(images),
            latency: Latency::summarize(done(records).map(|(record, _)| record.latency).collect()),
            modes,
            rejections: Rejections::of(records),
            errors,
            batches,
            short_behind_long,
        }
    }
}

fn done(records: &[Record]) -> impl Iterator<Item = (&Record, u64)> {
    records.iter().filter_map(|record| match record.ending {
        Ending::Done { images } => Some((record, images)),
        Ending::Rejected { .. } | Ending::Failed(_) => None,
    })
}

fn of_mode(records: &[Record], mode: Mode) -> Option<ModeReport> {
    let (mut latencies, mut images) = (Vec::new(), 0);
    for (record, count) in done(records).filter(|(record, _)| record.mode == mode) {
        latencies.push(record.latency);
        images += count;
    }
    let requests = latencies.len() as u64;
    Some(ModeReport { mode, requests, images, latency: Latency::summarize(latencies)? })
}

impl fmt::Display for TrafficPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { clients: 1 } => f.write_str("one client"),
            Self::Closed { clients } => write!(f, "{clients} clients"),
            Self::Open { rate } => write!(f, "{rate} requests/s at random times"),
            Self::ShortBehindLong { long_jobs, long_steps } => {
                write!(f, "short jobs behind {long_jobs} of {long_steps} steps")
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model.as_deref().unwrap_or("no model answered");
        writeln!(f, "{} ({model}), {}, seed {}", self.url, self.load, self.seed)?;
        writeln!(
            f,
            "{:.3} images/s, {:.3} requests/s: {} requests with {} images in {:.1} s\n",
            self.images_per_second, self.requests_per_second, self.requests, self.images, self.seconds
        )?;
        writeln!(
            f,
            "{:18} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "latency, ms", "requests", "images", "mean", "p50", "p90", "p95", "p99", "max"
        )?;
        for mode in &self.modes {
            row(f, mode.mode.name(), mode.requests, mode.images, &mode.latency)?;
        }
        if let (Some(latency), true) = (&self.latency, self.modes.len() > 1) {
            row(f, "all", self.requests, self.images, latency)?;
        }
        if let Some(short) = &self.short_behind_long {
            writeln!(f)?;
            short.fmt(f)?;
        }
        writeln!(f)?;
        self.batches.fmt(f)?;
        let Rejections { count, with_retry_after, longest_retry_after_seconds: longest } = self.rejections;
        writeln!(f, "\nrejected: {count}, {with_retry_after} of them with Retry-After (at most {longest:.0} s)")?;
        writeln!(f, "failed: {}", self.errors.values().sum::<u64>())?;
        for (why, count) in &self.errors {
            writeln!(f, "  {count} x {why}")?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, requests: u64, images: u64, latency: &Latency) -> fmt::Result {
    let Latency { mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms } = latency;
    write!(f, "{name:18} {requests:>8} {images:>8} {mean_ms:>9.1} {p50_ms:>9.1}")?;
    writeln!(f, " {p90_ms:>9.1} {p95_ms:>9.1} {p99_ms:>9.1} {max_ms:>9.1}")
}

impl fmt::Display for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = match self {
            Self::Measured(stages) if stages.is_empty() => return writeln!(f, "rows per step: no step was counted"),
            Self::Measured(stages) => stages,
            Self::Absent(why) => return writeln!(f, "rows per step: unknown, {why}"),
        };
        writeln!(f, "{:18} {:>8} {:>8}  steps by rows (up to)", "rows per step", "steps", "mean")?;
        for stage in stages {
            write!(f, "{:18} {:>8} {:>8.2} ", stage.stage, stage.steps, stage.mean_rows)?;
            for bucket in &stage.buckets {
                write!(f, " {}: {}", bucket.rows, bucket.steps)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for ShortBehindLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { long_jobs, long_steps, short_steps, alone, behind, shorts, long_ms } = self;
        writeln!(f, "short jobs ({short_steps} steps), alone: {:.1} ms (p50)", alone.p50_ms)?;
        writeln!(
            f,
            "behind {long_jobs} jobs of {long_steps} steps: {:.1} ms (p50), {:.1} ms (max), of {shorts}: {:.1} times as long",
            behind.p50_ms,
            behind.max_ms,
            behind.p50_ms / alone.p50_ms
        )?;
        writeln!(f, "the first long job took {long_ms:.0} ms, which is what waiting in line would cost at least")
    }
}
