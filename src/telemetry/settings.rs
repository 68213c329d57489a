//! What can be set about logs, metrics and traces. The configuration embeds these.

use strum::{EnumString, VariantNames};

/// All of it.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    pub log: LogSettings,
    /// Whether metrics are recorded.
    pub metrics: bool,
    pub traces: TraceSettings,
}

/// Logging.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A level, or a filter such as `info,kandinsky::engine=debug`.
    pub level: String,
    pub format: LogFormat,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// OpenTelemetry.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The collector's address, without the path of traces. Empty: no traces are sent.
    pub otlp_endpoint: String,
    /// Share of the requests that are traced unless the caller has decided, 0 to 1.
    pub sample_ratio: f64,
    pub service_name: String,
}
