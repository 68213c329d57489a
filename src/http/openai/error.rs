//! Errors in OpenAI's shape.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::Problem;

/// An error as OpenAI's SDKs read it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct OpenAiError {
    error: ErrorBody,
    #[serde(skip)]
    #[schema(ignore)]
    problem: Option<Problem>,
    #[serde(skip)]
    #[schema(ignore)]
    status: u16,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorBody {
    message: String,
    #[serde(rename = "type")]
    #[schema(example = "invalid_request_error")]
    kind: &'static str,
    /// The field at fault.
    param: Option<String>,
    #[schema(example = "moderation_blocked")]
    code: Option<String>,
}

impl OpenAiError {
    /// A model that is not loaded.
    pub(in crate::http) fn unknown_model(id: &str) -> Self {
        let mut error = Self::from(Problem::missing("model"));
        error.error.message = format!("the model {id} is not loaded");
        error.error.param = Some("model".to_owned());
        error.error.code = Some("model_not_found".to_owned());
        error
    }

    /// The body alone, for an error event in a stream.
    pub(in crate::http) fn body(&self) -> serde_json::Value {
        serde_json::to_value(&self.error).unwrap_or_default()
    }
}

impl From<Problem> for OpenAiError {
    fn from(problem: Problem) -> Self {
        let status = match problem.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        let kind = match status {
            _ if problem.kind() == "moderation-blocked" => "image_generation_user_error",
            _ if problem.kind() == "quota" => "insufficient_quota",
            status if status.is_server_error() => "server_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            _ => "invalid_request_error",
        };
        let code = match problem.kind() {
            "moderation-blocked" => "moderation_blocked",
            "validation" => "invalid_value",
            "too-large" => "image_too_large",
            "key-missing" | "invalid-key" => "invalid_api_key",
            "rate-limit" | "concurrency" => "rate_limit_exceeded",
            "quota" | "over-quota" => "insufficient_quota",
            other => other,
        };
        let code = code.replace('-', "_");
        let param = problem.errors().first().map(|error| match error.pointer.trim_start_matches('/') {
            "width" | "height" => "size".to_owned(),
            "preview_interval" => "partial_images".to_owned(),
            "output_quality" => "output_compression".to_owned(),
            other => other.replace('/', "."),
        });
        let error = ErrorBody {
            message: problem.message(),
            kind,
            param: param.filter(|param| !param.is_empty()),
            code: Some(code),
        };
        Self { error, problem: Some(problem), status: status.as_u16() }
    }
}

impl IntoResponse for OpenAiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        if let Some(problem) = &self.problem {
            problem.add_retry_after(&mut response);
        }
        response
    }
}
