//! Memory of request bodies.
//!
//! Invariant: all request bodies together hold no more memory than the budget.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::problem::Problem;
use crate::metrics;

/// How long a request waits for room to read its body.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Bytes per permit of the budget.
const UNIT: u64 = 1024;

/// Memory for request bodies.
#[derive(Clone)]
pub(crate) struct BodyBudget {
    permits: Arc<Semaphore>,
    max_body_bytes: u64,
    /// All permits of the budget.
    total: u32,
}

impl BodyBudget {
    /// A budget of `bytes`, for bodies of at most `max_body_bytes`.
    pub(crate) fn new(bytes: u64, max_body_bytes: u64) -> Self {
        let total = u32::try_from(bytes.max(max_body_bytes).div_ceil(UNIT)).unwrap_or(u32::MAX);
        Self { permits: Arc::new(Semaphore::new(total as usize)), max_body_bytes, total }
    }
}

/// Let a request read its body once the budget has room for it.
pub(crate) async fn reserve_body(State(budget): State<BodyBudget>, request: Request, next: Next) -> Response {
    // The body itself knows its size in HTTP/1 and HTTP/2; headers do not: HTTP/2 has no Transfer-Encoding.
    let body = request.body();
    let bytes = match body.size_hint().upper() {
        _ if body.is_end_stream() => 0,
        Some(length) if length > budget.max_body_bytes => {
            return Problem::too_large(format!("the body exceeds {} bytes", budget.max_body_bytes)).into_response();
        }
        Some(length) => length,
        None => budget.max_body_bytes,
    };
    if bytes == 0 {
        return next.run(request).await;
    }
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(budget.total);
    match tokio::time::timeout(MAX_WAIT, budget.permits.clone().acquire_many_owned(units)).await {
        Ok(Ok(permit)) => {
            // Handlers that wait for images release it as soon as they are done with their body.
            let mut request = request;
            let counted = metrics::REQUEST_BODIES.hold(bytes, []);
            request.extensions_mut().insert(BodyPermit { _guards: Arc::new((permit, counted)) });
            next.run(request).await
        }
        _ => Problem::busy(MAX_WAIT).into_response(),
    }
}

/// A request's share of the budget, released when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct BodyPermit {
    _guards: Arc<(OwnedSemaphorePermit, metrics::GaugeGuard)>,
}
