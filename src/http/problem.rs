//! Errors as `application/problem+json` (RFC 9457).
//!
//! Invariant: `type` is a stable name per kind of problem, and no problem shows internals.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::too_many;
use super::layers::RequestId;
use super::moderate::FindingAnswer;
use super::openai::error::OpenAiError;
use super::routes::huggingface::TaskError;
use crate::domain::{Failure, FailureKind, Violation, Violations};
use crate::jobs::Refusal;
use crate::store::StoreError;

/// Prefix of the URIs that name kinds of problems, relative to this server.
const TYPES: &str = "/problems/";
/// When to come back after a fault that may pass.
const SOON: Duration = Duration::from_secs(5);

/// A problem document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A stable URI for the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "/problems/validation")]
    kind: String,
    title: String,
    #[schema(example = 422)]
    status: u16,
    detail: String,
    /// The request's id, also in `x-request-id` and in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// All violations at once, for problems of the kind `validation`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// What a prompt or a picture was refused for, for problems of the kind `moderation-blocked`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    /// All that was found in it, for problems of the kind `moderation-blocked`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moderation: Vec<FindingAnswer>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// A value that breaks a rule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the request.
    #[schema(example = "/steps")]
    pub(super) pointer: String,
    #[schema(example = "must be 1 to 500")]
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{TYPES}{kind}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            request_id: None,
            errors: Vec::new(),
            categories: Vec::new(),
            moderation: Vec::new(),
            retry_after: None,
        }
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    pub(super) fn missing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what}"))
    }

    pub(super) fn expired(what: &str) -> Self {
        Self::new(StatusCode::GONE, "expired", format!("the {what} has expired"))
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here")
    }

    /// One broken rule.
    pub(super) fn invalid(pointer: &str, message: impl Into<String>) -> Self {
        let mut violations = Violations::default();
        violations.add(pointer, message);
        violations.into()
    }

    /// A prompt or a picture is refused for these.
    pub(super) fn blocked(detail: impl Into<String>, findings: Vec<FindingAnswer>) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "moderation-blocked", detail);
        let categories: BTreeSet<String> = findings.iter().map(|finding| finding.category.clone()).collect();
        (problem.categories, problem.moderation) = (categories.into_iter().collect(), findings);
        problem
    }

    /// Prompts must not pass without moderation, and it does not answer.
    pub(super) fn unmoderated() -> Self {
        let detail = "moderation does not answer, and nothing is made without it";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "moderation-unavailable", detail).retry_after(SOON)
    }

    pub(super) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The last part of `type`.
    pub(super) fn kind(&self) -> &str {
        self.kind.strip_prefix(TYPES).unwrap_or(&self.kind)
    }

    /// All that there is to say, in one line.
    pub(super) fn message(&self) -> String {
        let errors = self.errors.iter().map(|error| format!("{}: {}", error.pointer, error.message));
        let errors = errors.collect::<Vec<_>>().join("; ");
        if errors.is_empty() { self.detail.clone() } else { errors }
    }

    pub(super) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    pub(super) fn with_id(mut self, id: &str) -> Self {
        self.request_id = (!id.is_empty()).then(|| id.to_owned());
        self
    }

    /// Put `Retry-After` on an answer that has this problem in another form.
    pub(super) fn add_retry_after(&self, response: &mut Response) {
        if let Some(after) = self.retry_after {
            // Whole seconds, and never 0: that would mean to try again at once.
            let seconds = after.as_secs_f64().ceil().max(1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the rate")]
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds as u64));
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(&self)).into_response();
        let media_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        self.add_retry_after(&mut response);
        response.extensions_mut().insert(self);
        response
    }
}

/// Give problems on their way out the request's id, and the form that clients of the surface read.
pub(super) async fn identify(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let surface = Surface::of(request.method(), request.uri().path());
    let response = next.run(request).await;
    let has_type = |media_type: &str| {
        let own = response.headers().get(header::CONTENT_TYPE).and_then(|own| own.to_str().ok());
        own.is_some_and(|own| own.starts_with(media_type))
    };
    let problem = match response.extensions().get::<Problem>() {
        Some(problem) if has_type("application/problem+json") => problem.clone(),
        // What the framework says itself, such as of a path that is not UTF-8.
        None if response.status().is_client_error() && has_type("text/plain") => {
            Problem::new(response.status(), "malformed", "the request cannot be read")
        }
        _ => return response,
    };
    let mut identified = match surface {
        Surface::Native => problem.with_id(&id).into_response(),
        Surface::OpenAi => OpenAiError::from(problem).into_response(),
        Surface::HuggingFace => TaskError::answer(&problem),
    };
    for (name, value) in response.headers() {
        if ![header::CONTENT_LENGTH, header::CONTENT_TYPE].contains(name) {
            identified.headers_mut().insert(name, value.clone());
        }
    }
    identified
}

/// Whose clients a route is for.
enum Surface {
    Native,
    OpenAi,
    HuggingFace,
}

impl Surface {
    fn of(method: &Method, path: &str) -> Self {
        let models = path.strip_prefix("/v1/models").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if path.starts_with("/v1/images/") || path == "/v1/moderations" || models {
            Self::OpenAi
        } else if path.starts_with("/models/") || (path == "/" && method == Method::POST) {
            Self::HuggingFace
        } else {
            Self::Native
        }
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
            FailureKind::Blocked => {
                return Self::blocked(failure.message, failure.findings.into_iter().map(FindingAnswer::from).collect());
            }
            FailureKind::Unmoderated => return Self::unmoderated(),
            FailureKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let problem = Self::new(status, kind, failure.message);
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(SOON) } else { problem }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full { retry_after } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "queue-full", "too many requests are waiting")
                    .retry_after(retry_after)
            }
            Refusal::TooLarge => Self::too_large("the pictures of the request are larger than the server ever holds"),
            Refusal::Draining { retry_after } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "the server is about to stop")
                    .retry_after(retry_after)
            }
            Refusal::Conflict => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-conflict",
                "the idempotency key was used for another request",
            ),
            Refusal::OwnJobs { most, retry_after } => {
                let detail = format!("this key may have {most} jobs waiting or running at once");
                too_many("concurrency", detail, retry_after)
            }
            Refusal::OwnPictures { most, retry_after: Some(retry_after) } => {
                let detail = format!("this key may make {most} pictures a day (UTC), and too few of today's are left");
                too_many("quota", detail, retry_after)
            }
            Refusal::OwnPictures { most, retry_after: None } => Self::new(
                StatusCode::FORBIDDEN,
                "over-quota",
                format!("the request asks for more pictures than this key may make in a day: {most}"),
            ),
            Refusal::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store did not do its part");
        match error {
            StoreError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage-unavailable", "the storage does not answer")
                    .retry_after(SOON)
            }
            StoreError::Full(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage-full", "there is no room left to store anything")
                    .retry_after(SOON)
            }
            StoreError::Failed(_) => Self::internal(),
        }
    }
}

pub(super) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this address")
}

pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this address does not take that method")
}
