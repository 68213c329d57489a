//! A summary of latencies.
//!
//! Invariant: a percentile is a latency that was measured (nearest rank), never one between two of them.

use std::time::Duration;

use serde::Serialize;

/// A distribution of latencies, ms.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Latency {
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    /// Summary of the samples; `None` if there are none.
    #[must_use]
    pub fn summarize(mut latencies: Vec<Duration>) -> Option<Self> {
        latencies.sort_unstable();
        let max = latencies.last()?;
        let ms = |latency: &Duration| latency.as_secs_f64() * 1e3;
        let at = |percent| ms(&latencies[nearest_rank(latencies.len(), percent)]);
        #[expect(clippy::cast_precision_loss, reason = "no benchmark has 2^52 requests")]
        let mean_ms = latencies.iter().map(ms).sum::<f64>() / latencies.len() as f64;
        Some(Self { mean_ms, p50_ms: at(50), p90_ms: at(90), p95_ms: at(95), p99_ms: at(99), max_ms: ms(max) })
    }
}

/// The index of the smallest of `count` sorted values that at least `percent` per cent of them do not exceed.
fn nearest_rank(count: usize, percent: usize) -> usize {
    (count * percent).div_ceil(100).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: impl IntoIterator<Item = u64>) -> Latency {
        Latency::summarize(latencies.into_iter().map(Duration::from_millis).collect()).expect("some")
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        // The textbook's example: 15, 20, 35, 40, 50 has 35 as its median and 50 from the 81st percentile on.
        let latency = of([40, 15, 50, 20, 35]);
        assert!((latency.p50_ms - 35.0).abs() < 1e-9 && (latency.p90_ms - 50.0).abs() < 1e-9, "{latency:?}");
        assert!((latency.mean_ms - 32.0).abs() < 1e-9, "{latency:?}");
        let latency = of((1..=200).rev());
        let seen = [latency.p50_ms, latency.p90_ms, latency.p95_ms, latency.p99_ms, latency.max_ms];
        for (seen, expected) in seen.into_iter().zip([100.0, 180.0, 190.0, 198.0, 200.0]) {
            assert!((seen - expected).abs() < 1e-9, "{latency:?}");
        }
    }

    #[test]
    fn one_latency_is_every_percentile_and_no_latencies_have_no_summary() {
        let latency = of([7]);
        assert!([latency.p50_ms, latency.p99_ms, latency.max_ms].iter().all(|ms| (ms - 7.0).abs() < 1e-9));
        assert_eq!(Latency::summarize(Vec::new()), None);
    }
}
