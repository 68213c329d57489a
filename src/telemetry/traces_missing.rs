//! What stands in for `traces.rs` in a build without the feature `otlp`.
//!
//! Invariant: a configuration that names a collector is refused, and everything else costs nothing.

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Identity;

use super::settings::TraceSettings;

/// Has no values.
pub(super) enum Provider {}

/// `None`, unless the configuration names a collector: then an error.
pub(super) fn provider(traces: &TraceSettings) -> Result<Option<Provider>, String> {
    if traces.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    Err("traces.otlp_endpoint: this build sends no traces; build it with --features otlp".to_owned())
}

impl Provider {
    #[expect(clippy::unused_self, reason = "the signature of `traces.rs`")]
    pub(super) fn layer<S: Subscriber>(&self) -> impl Layer<S> + Send + Sync + use<S> {
        Identity::new()
    }

    pub(super) fn shut_down(self) -> Result<(), String> {
        match self {}
    }
}

/// Does nothing: there is no trace to continue.
pub fn continue_trace<'a>(_span: &tracing::Span, _header: impl Fn(&str) -> Option<&'a str>) {}

/// Nothing.
#[must_use]
pub fn trace_headers(_span: &tracing::Span) -> Vec<(String, String)> {
    Vec::new()
}
