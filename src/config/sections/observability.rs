//! Logs, metrics and traces.

use strum::VariantNames as _;

use crate::config::readers;
use crate::config::rules::{self, Rule};
use crate::config::section::section;
use crate::telemetry::{LogFormat, LogSettings, TraceSettings};

section! {
    /// Log lines, on stderr.
    impl LogSettings in "log" {
        /// trace, debug, info, warn or error, or a filter such as "info,kandinsky::engine=debug".
        level: String = "info", Rule::Text(rules::log_level);
        /// text or json.
        format: LogFormat = "text", Rule::OneOf(LogFormat::VARIANTS);
    }
}

section! {
    /// Prometheus.
    struct Metrics in "metrics" {
        /// Answer GET /metrics, in Prometheus' text format.
        enabled: bool = true, Rule::Flag;
    }
}

section! {
    /// OpenTelemetry.
    impl TraceSettings in "traces" {
        /// OTLP over HTTP, in a build with --features otlp: http://collector:4318. Empty: no traces are sent.
        otlp_endpoint: String as readers::base_url = "", Rule::Text(rules::optional_http_url);
        /// Share of requests that are traced, 0 to 1, unless the caller has decided.
        sample_ratio: f64 = 1.0, Rule::Number(0.0..=1.0);
        /// Name of the service in traces.
        service_name: String = "kandinsky", Rule::Text(rules::any);
    }
}
