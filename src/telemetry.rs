//! What the process reports about itself: logs on stderr, metrics, traces over OTLP.
//!
//! Invariant: messages are lower case, and facts are fields with dotted names and units; nothing of it can fail a request.

mod asked;
mod logs;
mod settings;
#[cfg_attr(not(feature = "otlp"), path = "telemetry/traces_missing.rs")]
mod traces;

use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::metrics;

pub use settings::{LogFormat, LogSettings, TelemetrySettings, TraceSettings};
pub use traces::{continue_trace, trace_headers};

/// Sends the remaining traces when it is dropped; keep it until the process ends.
#[must_use = "remaining traces are sent when it is dropped"]
pub struct TelemetryGuard {
    traces: Option<traces::Provider>,
}

/// Start logs, and metrics and traces if they are on. A second call in a process does not change its logs.
///
/// # Errors
/// A filter that cannot be parsed, or traces in a build without them. The message begins with the setting.
pub fn start(settings: &TelemetrySettings) -> Result<TelemetryGuard, String> {
    let (guard, subscriber) = build(settings)?;
    if subscriber.try_init().is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(guard)
}

/// As [`start`], but the caller installs the subscriber, so that a process (a test) can have several.
pub fn build(settings: &TelemetrySettings) -> Result<(TelemetryGuard, impl Subscriber + Send + Sync + use<>), String> {
    if settings.metrics {
        metrics::start()?;
    }
    let traces = traces::provider(&settings.traces)?;
    let subscriber = tracing_subscriber::registry()
        .with(logs::layer(&settings.log, std::io::stderr)?)
        .with(traces.as_ref().map(traces::Provider::layer));
    Ok((TelemetryGuard { traces }, subscriber))
}

/// Start logs alone, for commands that are no server.
pub fn start_logs(settings: &LogSettings) -> Result<(), String> {
    if tracing_subscriber::registry().with(logs::layer(settings, std::io::stderr)?).try_init().is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.take().map(traces::Provider::shut_down) {
            tracing::warn!(error, "traces were lost");
        }
    }
}
