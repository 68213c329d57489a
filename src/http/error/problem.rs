//! Errors as `application/problem+json` (RFC 9457).
//!
//! Invariant: `type` is a stable name per kind of problem, and no problem shows internals. This file imports nothing from
//! the rest of `http` but the shape of a finding.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::finding::FindingAnswer;

/// The media type of a problem document.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// `Retry-After` of faults that may pass.
pub(crate) const RETRY_SOON: Duration = Duration::from_secs(5);
/// Prefix of the URIs that name kinds of problems, relative to this server.
const TYPES: &str = "/problems/";

/// A problem document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A stable URI for the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "/problems/validation")]
    kind: String,
    title: String,
    #[schema(example = 422)]
    status: u16,
    detail: String,
    /// The id of the request, as in `x-request-id` and in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// All violations at once, for problems of the kind `validation`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The categories that a prompt or an image was refused for, for problems of the kind `moderation-blocked`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    /// All findings of moderation, for problems of the kind `moderation-blocked`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moderation: Vec<FindingAnswer>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// A value that breaks a rule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// JSON pointer into the request.
    #[schema(example = "/steps")]
    pub(crate) pointer: String,
    #[schema(example = "must be 1 to 500")]
    pub(crate) message: String,
}

impl Problem {
    /// A problem of this kind: the last part of its `type`.
    pub(crate) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
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

    /// 400: the request cannot be parsed.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 404: there is no such resource, or the caller may not see it.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("{what} not found"))
    }

    /// 410: the resource was there and its time to live has passed.
    pub(crate) fn expired(what: &str) -> Self {
        Self::new(StatusCode::GONE, "expired", format!("the {what} has expired"))
    }

    /// 413: the body or an image is over a limit.
    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// 415: the body is of a media type or encoding that the route does not take.
    pub(crate) fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)
    }

    /// 422: values that break rules.
    pub(crate) fn validation(errors: Vec<FieldError>) -> Self {
        let detail = "the request is invalid; see errors";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation", detail) }
    }

    /// 422: one value that breaks a rule.
    pub(crate) fn invalid(pointer: &str, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError { pointer: pointer.to_owned(), message: message.into() }])
    }

    /// 429: the caller is over a limit of its own.
    pub(crate) fn too_many(kind: &str, detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, kind, detail).with_retry_after(retry_after)
    }

    /// 500, with all details in the log alone.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error")
    }

    /// 503, for now.
    pub(crate) fn unavailable(kind: &str, detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail).with_retry_after(retry_after)
    }

    /// 503: the server is shutting down.
    pub(crate) fn draining(retry_after: Duration) -> Self {
        Self::unavailable("draining", "the server is shutting down", retry_after)
    }

    /// 400: moderation refuses a prompt or an image.
    pub(crate) fn blocked(detail: impl Into<String>, findings: Vec<FindingAnswer>) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "moderation-blocked", detail);
        let categories: BTreeSet<String> = findings.iter().map(|finding| finding.category.clone()).collect();
        (problem.categories, problem.moderation) = (categories.into_iter().collect(), findings);
        problem
    }

    /// 503: nothing is made without moderation, and moderation does not answer.
    pub(crate) fn unmoderated() -> Self {
        Self::unavailable("moderation-unavailable", "the moderation service is unavailable", RETRY_SOON)
    }

    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Set the request's id; an empty one removes it.
    pub(crate) fn with_request_id(mut self, id: &str) -> Self {
        self.request_id = (!id.is_empty()).then(|| id.to_owned());
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The last part of `type`.
    pub(crate) fn kind(&self) -> &str {
        self.kind.strip_prefix(TYPES).unwrap_or(&self.kind)
    }

    /// All violations, or else the detail, in one line.
    pub(crate) fn message(&self) -> String {
        let errors = self.errors.iter().map(|error| format!("{}: {}", error.pointer, error.message));
        let errors = errors.collect::<Vec<_>>().join("; ");
        if errors.is_empty() { self.detail.clone() } else { errors }
    }

    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// Put `Retry-After` on a response that shows this problem.
    pub(crate) fn add_retry_after(&self, response: &mut Response) {
        if let Some(after) = self.retry_after {
            // Whole seconds, and never 0: that would mean to try again at once.
            let seconds = after.as_secs_f64().ceil().max(1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the rate")]
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds as u64));
        }
    }
}

impl IntoResponse for Problem {
    /// The document, with the problem itself as an extension, so that it can be shown in another form.
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(&self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        self.add_retry_after(&mut response);
        response.extensions_mut().insert(self);
        response
    }
}
