//! What the process tells about itself: logs on stderr, numbers for Prometheus, traces over OTLP.
//!
//! Invariant: messages are lower case and facts are fields with dotted names and units; every metric is declared in
//! [`metrics`]; nothing of it can fail a request.

mod logs;
pub mod metrics;
mod recorder;
#[cfg_attr(not(feature = "otlp"), path = "telemetry/traces_missing.rs")]
mod traces;

use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, Log};

pub use traces::continue_trace;

/// Sends what is left of the traces when it is dropped; keep it until the process ends.
#[must_use = "traces that are left are sent when it is dropped"]
pub struct Guard {
    traces: Option<traces::Provider>,
}

/// Start logs, and metrics and traces where the configuration wants them. A second call changes nothing of what is
/// logged.
pub fn start(config: &Config) -> Result<Guard, String> {
    let (guard, subscriber) = start_anew(config)?;
    if subscriber.try_init().is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(guard)
}

/// As [`start`], but whoever calls it says whose subscriber this is, for more than one in a process.
pub fn start_anew(config: &Config) -> Result<(Guard, impl Subscriber + Send + Sync + use<>), String> {
    if config.metrics.enabled {
        recorder::start()?;
    }
    let traces = traces::provider(&config.traces)?;
    let subscriber = tracing_subscriber::registry()
        .with(logs::layer(&config.log, std::io::stderr)?)
        .with(traces.as_ref().map(traces::Provider::layer));
    Ok((Guard { traces }, subscriber))
}

/// Start logs alone, for commands that serve nobody.
pub fn start_logs(log: &Log) -> Result<(), String> {
    if tracing_subscriber::registry().with(logs::layer(log, std::io::stderr)?).try_init().is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.take().map(traces::Provider::shut_down) {
            tracing::warn!(error, "traces were lost");
        }
    }
}
