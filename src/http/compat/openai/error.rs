//! Errors as OpenAI's SDKs read them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::kind::ProblemKind;
use crate::http::error::problem::Problem;

/// An error as OpenAI's SDKs read it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiError {
    error: ErrorBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    message: String,
    #[serde(rename = "type")]
    #[schema(example = "invalid_request_error")]
    kind: &'static str,
    /// The invalid field.
    param: Option<String>,
    #[schema(example = "moderation_blocked")]
    code: Option<String>,
}

/// A problem in this form.
pub(crate) fn render_problem(problem: &Problem) -> Response {
    let mut response =
        (status_of(problem.status()), Json(OpenAiError { error: ErrorBody::from(problem) })).into_response();
    problem.add_retry_after(&mut response);
    response
}

/// The SDKs know no 422.
pub(super) fn status_of(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    }
}

/// What the SDKs know a kind of problem by.
pub(super) fn code_of(kind: ProblemKind) -> String {
    let code = match kind {
        ProblemKind::Validation => "invalid_value",
        ProblemKind::TooLarge => "image_too_large",
        ProblemKind::KeyMissing | ProblemKind::InvalidKey => "invalid_api_key",
        ProblemKind::RateLimit | ProblemKind::Concurrency => "rate_limit_exceeded",
        ProblemKind::Quota | ProblemKind::OverQuota => "insufficient_quota",
        other => other.name(),
    };
    code.replace('-', "_")
}

impl From<&Problem> for ErrorBody {
    fn from(problem: &Problem) -> Self {
        let kind = match (problem.kind(), status_of(problem.status())) {
            (ProblemKind::ModerationBlocked, _) => "image_generation_user_error",
            (ProblemKind::Quota, _) => "insufficient_quota",
            (_, status) if status.is_server_error() => "server_error",
            (_, StatusCode::TOO_MANY_REQUESTS) => "rate_limit_error",
            (_, StatusCode::UNAUTHORIZED) => "authentication_error",
            (_, StatusCode::FORBIDDEN) => "permission_error",
            _ => "invalid_request_error",
        };
        let param = match problem.errors().first() {
            Some(error) => Some(param_of(&error.pointer)),
            None => (problem.kind() == ProblemKind::ModelNotFound).then(|| "model".to_owned()),
        };
        Self {
            message: problem.message(param_of),
            kind,
            param: param.filter(|param| !param.is_empty()),
            code: Some(code_of(problem.kind())),
        }
    }
}

/// A JSON pointer as the SDKs name fields.
fn param_of(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}
