//! Memory of request bodies, and the time they may take.
//!
//! Invariant: no byte of a body is kept that was not taken from the budget as it arrived, whatever was announced, in HTTP/1
//! and HTTP/2 (one body at a time may go beyond the budget, so that none wait for each other); and it stays taken as long as anything made of the body is held.

use std::sync::{Arc, OnceLock};

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use tokio::sync::Semaphore;

use super::body_pace::BodyPace;
use super::body_permit::{BodyPermit, HELD, SMALL_BODY};
use super::budgeted_body::BudgetedBody;
use crate::http::budget::Budget;
use crate::http::error::problem::Problem;
use crate::http::extract::caller::client_of;
use crate::http::limits::HttpLimits;

/// The part of the budget that is reserved for small bodies, on top of it.
const SMALL_PART: u64 = 8;
/// The part of the budget that one client may have.
const CLIENT_PART: u64 = 2;

/// Memory for request bodies.
#[derive(Clone)]
pub(crate) struct BodyBudget {
    room: Arc<Budget>,
    /// For bodies that are still small when the room is full.
    reserve: Arc<Budget>,
    /// One body may go on beyond the room.
    overflow: Arc<Semaphore>,
    max_body_bytes: u64,
    pace: BodyPace,
}

impl BodyBudget {
    /// The budget of these limits, for bodies of at most `max_body_bytes`.
    pub(crate) fn new(limits: &HttpLimits, max_body_bytes: u64) -> Self {
        let largest = HELD.saturating_mul(max_body_bytes);
        let capacity = limits.max_body_bytes_in_flight.max(largest);
        // Any body fits into its client's share.
        let share = (capacity / CLIENT_PART).max(largest);
        let reserve = (capacity / SMALL_PART).max(SMALL_BODY);
        Self {
            room: Budget::new(capacity, share),
            reserve: Budget::new(reserve, (reserve / CLIENT_PART).max(SMALL_BODY)),
            overflow: Arc::new(Semaphore::new(1)),
            max_body_bytes,
            pace: BodyPace {
                pause: limits.body_timeout,
                total: limits.body_total_timeout,
                min_rate: limits.min_body_rate,
            },
        }
    }
}

/// Let a request read its body as the budget has room for it, and in time.
pub(crate) async fn budget_body(State(budget): State<BodyBudget>, mut request: Request, next: Next) -> Response {
    // The body itself knows its size in HTTP/1 and HTTP/2; headers do not: HTTP/2 has no Transfer-Encoding.
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    if request.body().size_hint().upper().is_some_and(|length| length > budget.max_body_bytes) {
        return Problem::too_large(format!("the body exceeds {} bytes", budget.max_body_bytes)).into_response();
    }
    let client = client_of(request.extensions());
    let permit = BodyPermit::new(&budget.room, &budget.reserve, &budget.overflow, client);
    let failure = Arc::new(OnceLock::new());
    request.extensions_mut().insert(permit.clone());
    let request = request.map(|body| Body::new(BudgetedBody::new(body, permit, budget.pace, failure.clone())));
    let response = next.run(request).await;
    // Extractors know only that the body could not be read.
    match failure.get() {
        Some(problem) if response.status().is_client_error() => Problem::clone(problem).into_response(),
        _ => response,
    }
}
