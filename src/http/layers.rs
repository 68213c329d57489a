//! What surrounds every route: request ids, spans, metrics, panics, and the budget of bodies being read.
//!
//! Invariants: every answer carries `x-request-id`; all request bodies together hold no more memory than the budget.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;
use uuid::Uuid;

use super::problem::Problem;
use crate::telemetry::{self, metrics};

/// Longest request id that is taken from a client, bytes.
const ID_BYTES: usize = 128;
/// How long a request waits for room to read its body.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes per permit of the body budget.
const UNIT: u64 = 1024;

/// The id of a request.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// Give the request an id (the client's own if it has a sane one), a span, and a place in the metrics.
pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let sane = |id: &&str| (1..=ID_BYTES).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    let given = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).filter(sane);
    let id = given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!(
        "request", request.id = id, key.id = tracing::field::Empty, http.method = %method, http.route = route,
        http.status = tracing::field::Empty
    );
    let headers = request.headers().clone();
    telemetry::continue_trace(&span, |name| headers.get(name).and_then(|value| value.to_str().ok()));
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status(), started.elapsed());
    span.record("http.status", status.as_u16());
    span.in_scope(|| tracing::debug!(http.ms = took.as_secs_f64() * 1e3, "answered"));
    metrics::HTTP_REQUESTS.add(1, [&route, method_name(&method), status.as_str()]);
    metrics::HTTP_DURATION.record(took.as_secs_f64(), [&route, method_name(&method)]);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// Methods by name; a made-up one must not become a label.
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

/// Memory for request bodies.
#[derive(Clone)]
pub(super) struct BodyBudget {
    permits: Arc<Semaphore>,
    max_body_bytes: u64,
    all: u32,
}

impl BodyBudget {
    /// A budget of `bytes`, for bodies of at most `max_body_bytes`.
    pub(super) fn new(bytes: u64, max_body_bytes: u64) -> Self {
        let all = u32::try_from(bytes.max(max_body_bytes).div_ceil(UNIT)).unwrap_or(u32::MAX);
        Self { permits: Arc::new(Semaphore::new(all as usize)), max_body_bytes, all }
    }
}

/// Let a request read its body only while the budget has room for it.
pub(super) async fn reserve_body(State(budget): State<BodyBudget>, request: Request, next: Next) -> Response {
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()).and_then(|length| length.parse::<u64>().ok());
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let bytes = match declared {
        Some(length) if length > budget.max_body_bytes => {
            return Problem::too_large(format!("the body may have at most {} bytes", budget.max_body_bytes))
                .into_response();
        }
        Some(length) => length,
        None if chunked => budget.max_body_bytes,
        None => 0,
    };
    if bytes == 0 {
        return next.run(request).await;
    }
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(budget.all);
    match tokio::time::timeout(BODY_PATIENCE, budget.permits.clone().acquire_many_owned(units)).await {
        Ok(Ok(permit)) => {
            // Handlers that wait for pictures give it back as soon as they are done with their body.
            let mut request = request;
            let held = metrics::REQUEST_BODIES.hold(bytes, []);
            request.extensions_mut().insert(BodyPermit { _shares: Arc::new((permit, held)) });
            next.run(request).await
        }
        _ => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests are being read")
            .retry_after(BODY_PATIENCE)
            .into_response(),
    }
}

/// A request's share of the body budget, given back when the last copy is dropped.
#[derive(Clone)]
pub(super) struct BodyPermit {
    _shares: Arc<(OwnedSemaphorePermit, metrics::Held)>,
}

/// A panic in a handler is a fault of the server, and says no more than that.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here").into_response()
}
