//! Panics of handlers.
//!
//! Invariant: a panic is answered with a problem that says no more than that it was the server's fault.

use axum::response::{IntoResponse as _, Response};

use crate::http::error::problem::Problem;

/// The response of a handler that panicked.
pub(crate) fn answer_panic(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    Problem::internal().into_response()
}
