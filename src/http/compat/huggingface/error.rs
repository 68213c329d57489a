//! Errors as Hugging Face's clients read them.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::problem::Problem;

/// An error as Hugging Face's client reads it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskError {
    error: String,
}

/// A problem in this form.
pub(crate) fn render_problem(problem: &Problem) -> Response {
    let error = TaskError { error: problem.message(|pointer| pointer.trim_start_matches('/').replace('/', ".")) };
    let mut response = (problem.status(), Json(error)).into_response();
    problem.add_retry_after(&mut response);
    response
}
