//! Memory of responses, and how many streams of events a client may have.
//!
//! Invariant: a response counts from before it is made (where it is known to be large) until the socket has taken it, whatever
//! its client does; who has too much under way gets nothing more that is large until it is read.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::answer_body::AnswerBody;
use super::answer_permit::{AnswerPermit, SMALL};
use crate::http::budget::Budget;
use crate::http::error::problem::Problem;
use crate::http::extract::caller::client_of;
use crate::http::limits::HttpLimits;

/// The part of the memory that one client may have.
const CLIENT_PART: u64 = 2;
/// Routes that answer whatever else is going on.
const ALWAYS: [&str; 2] = ["/healthz", "/readyz"];
const EVENTS: &str = "text/event-stream";

/// What responses and streams may take.
#[derive(Clone)]
pub(crate) struct AnswerBudget {
    room: Arc<Budget>,
    streams: Arc<Budget>,
    most_streams: u64,
}

impl AnswerBudget {
    /// The budget of these limits.
    pub(crate) fn new(limits: &HttpLimits) -> Self {
        let (capacity, most_streams) = (limits.max_response_bytes_in_flight, limits.max_streams_per_client);
        Self {
            room: Budget::new(capacity, capacity / CLIENT_PART),
            streams: Budget::new(u64::MAX, most_streams),
            most_streams,
        }
    }
}

/// Let a request be answered once there is room for its response, and count that until it is sent.
pub(crate) async fn budget_answer(State(budget): State<AnswerBudget>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if route.is_none_or(|route| ALWAYS.contains(&route)) {
        return next.run(request).await;
    }
    let client = client_of(request.extensions());
    let stream = budget.streams.permit(client.clone());
    let wants_events = request.headers().get(header::ACCEPT).is_some_and(|accept| accept == EVENTS);
    // Known before any work; the others are found out by their response.
    if (wants_events || route.is_some_and(|route| route.ends_with("/events"))) && !stream.try_grow(1) {
        return Problem::too_many_streams(budget.most_streams).into_response();
    }
    let permit = AnswerPermit::new(budget.room.permit(client));
    if let Err(problem) = permit.reserve(1).await {
        return problem.into_response();
    }
    request.extensions_mut().insert(permit.clone());
    let response = next.run(request).await;
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let is_events = media_type.is_some_and(|media_type| media_type.as_bytes().starts_with(EVENTS.as_bytes()));
    if !is_events {
        stream.shrink_to(0);
    } else if stream.held() == 0 && !stream.try_grow(1) {
        return Problem::too_many_streams(budget.most_streams).into_response();
    }
    let stream = is_events.then_some(stream);
    let size = response.body().size_hint().exact();
    match size {
        Some(size) if size < SMALL => response,
        size => response.map(|body| Body::new(AnswerBody::new(body, size, permit, stream))),
    }
}
