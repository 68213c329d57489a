//! Errors as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Failure, FailureKind, Violation, Violations};

/// Prefix of the URIs that name kinds of problems, relative to this server.
const TYPES: &str = "/problems/";

/// A problem document.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A stable URI for the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "/problems/validation")]
    kind: String,
    title: String,
    #[schema(example = 422)]
    status: u16,
    detail: String,
    /// All violations at once, for problems of the kind `validation`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// A value that breaks a rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the request.
    #[schema(example = "/steps")]
    pointer: String,
    #[schema(example = "must be 1 to 500")]
    message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{TYPES}{kind}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }
}

impl Problem {
    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let media_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}

impl From<Violations> for Problem {
    fn from(violations: Violations) -> Self {
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation", "the request breaks the rules named in errors");
        let field = |Violation { pointer, message }| FieldError { pointer, message };
        problem.errors = violations.0.into_iter().map(field).collect();
        problem
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let (status, kind) = match failure.kind {
            FailureKind::Unsupported => (StatusCode::UNPROCESSABLE_ENTITY, "unsupported"),
            FailureKind::Canceled => (StatusCode::CONFLICT, "canceled"),
            FailureKind::Unavailable | FailureKind::Lost => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            FailureKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, kind, failure.message)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "body-too-large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
            StatusCode::UNPROCESSABLE_ENTITY => "validation",
            _ => "malformed",
        };
        Self::new(rejection.status(), kind, rejection.body_text())
    }
}

pub(super) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this address")
}

pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this address does not take that method")
}
