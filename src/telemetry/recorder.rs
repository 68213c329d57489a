//! The recorder behind the metrics, and its text for Prometheus.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::metrics::{ALL, BUILD_INFO, Kind, PROCESS_RESIDENT};

/// How often values of histograms are folded into their buckets. Without it they pile up where nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
/// Whoever comes second waits until all is there.
static STARTING: Mutex<()> = Mutex::new(());

/// Record from now on. A second call changes nothing.
pub(super) fn start() -> Result<(), String> {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
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

/// See [`super::metrics::render`].
pub(super) fn render() -> String {
    let Some(handle) = HANDLE.get() else { return String::new() };
    if let Some(bytes) = resident_bytes() {
        PROCESS_RESIDENT.set(bytes, []);
    }
    handle.render()
}

/// Memory of the process that is in RAM, where the system tells (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}
