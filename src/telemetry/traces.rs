//! Traces over OTLP (HTTP, protobuf), if the configuration names a collector.
//!
//! Invariant: the exporter blocks on a thread of its own; it needs no async runtime, and no request waits for it.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use super::asked::Asked;
use super::settings::TraceSettings;
use crate::tls;

/// Longest time that the end of the process waits for the collector.
const FLUSH: Duration = Duration::from_secs(5);

/// Sends spans to the collector.
pub(super) struct Provider(SdkTracerProvider);

/// `None` if the configuration names no collector.
pub(super) fn provider(traces: &TraceSettings) -> Result<Option<Provider>, String> {
    if traces.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    tls::install_provider();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", traces.otlp_endpoint))
        .build()
        .map_err(|error| format!("traces.otlp_endpoint: {error}"))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.sample_ratio))))
        .with_resource(Resource::builder().with_service_name(traces.service_name.clone()).build())
        .build();
    Ok(Some(Provider(provider)))
}

impl Provider {
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        // Our own spans only: those of the exporter's HTTP client would make new ones for ever.
        let ours = Asked(Targets::new().with_target("kandinsky", LevelFilter::DEBUG));
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("kandinsky")).with_filter(ours)
    }

    /// Send the spans that are left.
    pub(super) fn shut_down(self) -> Result<(), String> {
        self.0.shutdown_with_timeout(FLUSH).map_err(|error| error.to_string())
    }
}

/// Make `span` a part of the caller's trace (W3C Trace Context), if `header` finds one. Call it before the span is entered.
pub fn continue_trace<'a>(span: &tracing::Span, header: impl Fn(&str) -> Option<&'a str>) {
    let headers: HashMap<String, String> = ["traceparent", "tracestate"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), header(name)?.to_owned())))
        .collect();
    let context = TraceContextPropagator::new().extract(&headers);
    if context.span().span_context().is_valid() {
        // It fails where traces are off, and then there is nothing to continue.
        let _ = span.set_parent(context);
    }
}

/// The headers that make others continue the trace of this span (W3C Trace Context); none where it is in no trace.
#[must_use]
pub fn trace_headers(span: &tracing::Span) -> Vec<(String, String)> {
    let mut headers = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
    let mut headers: Vec<(String, String)> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    headers.sort();
    headers
}
