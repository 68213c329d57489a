//! The recorder behind the metrics, and its text for Prometheus.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

use super::catalog::{ALL, BUILD_INFO, PROCESS_RESIDENT};
use super::kinds::Kind;

/// Interval at which values of histograms are folded into their buckets. Without it they pile up until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
/// A second caller of [`start`] waits until the first has finished.
static STARTING: Mutex<()> = Mutex::new(());

/// Record from now on. A second call changes nothing.
pub fn start() -> Result<(), String> {
    let _starting = STARTING.lock();
    if HANDLE.get().is_some() {
        return Ok(());
    }
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        if let Kind::Histogram(buckets) = metric.kind() {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name().to_owned()), buckets)
                .map_err(|error| format!("{}: {error}", metric.name()))?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        return Ok(());
    }
    for metric in ALL {
        metric.describe();
    }
    BUILD_INFO.set(1, [env!("CARGO_PKG_VERSION")]);
    let upkeep = handle.clone();
    std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        })
        .map_err(|error| format!("metrics: {error}"))?;
    let _ = HANDLE.set(handle);
    Ok(())
}

/// All metrics in Prometheus' text format (0.0.4); empty if they are off.
#[must_use]
pub fn render() -> String {
    let Some(handle) = HANDLE.get() else { return String::new() };
    if let Some(bytes) = resident_bytes() {
        PROCESS_RESIDENT.set(bytes, []);
    }
    handle.render()
}

/// Resident memory of the process; `None` except on Linux.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}
