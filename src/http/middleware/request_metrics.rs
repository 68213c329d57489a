//! The span and the metrics of a request.
//!
//! Invariant: labels come from closed lists (routes, methods by name, statuses), so that no client can make up new series.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::request_id::RequestId;
use crate::{metrics, telemetry};

/// Run the request in a span of its own (which continues the client's trace, if it names one), and count and time it.
pub(crate) async fn record_request(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!(
        "request", request.id = id, key.id = tracing::field::Empty, http.method = %method, http.route = route,
        http.status = tracing::field::Empty
    );
    let headers = request.headers();
    telemetry::continue_trace(&span, |name| headers.get(name).and_then(|value| value.to_str().ok()));
    let started = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let (status, duration) = (response.status(), started.elapsed());
    span.record("http.status", status.as_u16());
    span.in_scope(|| tracing::debug!(http.ms = duration.as_secs_f64() * 1e3, "answered"));
    metrics::HTTP_REQUESTS.add(1, [&route, method_name(&method), status.as_str()]);
    metrics::HTTP_DURATION.record(duration.as_secs_f64(), [&route, method_name(&method)]);
    response
}

/// Methods by name; others are not labels.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
