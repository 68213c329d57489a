//! Errors as programs for AUTOMATIC1111's API read them: they show `detail`, `errors` or `error`, so each of them says it.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::problem::Problem;

/// Most characters of what is wrong, which is written twice.
const MAX_DETAIL_CHARS: usize = 800;

/// An error as programs for AUTOMATIC1111's API read it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebuiError {
    /// Its kind.
    #[schema(example = "validation")]
    error: &'static str,
    /// What is wrong, in one line.
    #[schema(example = "sampler_name: must be one of DDIM, DDPM, DPM++ 2M")]
    detail: String,
    /// Always empty.
    body: &'static str,
    /// The same as `detail`.
    errors: String,
}

/// A problem in this form.
pub(crate) fn render_problem(problem: &Problem) -> Response {
    let detail = problem.message(|pointer| pointer.trim_start_matches('/').replace('/', "."));
    let detail: String = detail.chars().take(MAX_DETAIL_CHARS).collect();
    let error = WebuiError { error: problem.kind().name(), errors: detail.clone(), detail, body: "" };
    let mut response = (problem.status(), Json(error)).into_response();
    problem.add_retry_after(&mut response);
    response
}
