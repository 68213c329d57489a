//! Errors as `application/problem+json` (RFC 9457).
//!
//! Invariant: no problem shows internals, and this file knows nothing of the modules that fail.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::finding::FindingAnswer;
use super::kind::ProblemKind;
use crate::modes::request::SentNames;

/// The media type of a problem document.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// Most characters of a text in a document.
const MAX_TEXT_CHARS: usize = 300;
/// Most bytes of the violations that a document names, as they are written.
const MAX_ERROR_BYTES: usize = 1400;
/// What is written around the two texts of a violation, bytes.
const AROUND_ERROR: usize = r#"{"pointer":"","message":""},"#.len();
/// Prefix of the URIs that name kinds of problems, relative to this server.
const TYPES: &str = "/problems/";

/// A problem document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A stable URI for the kind of problem.
    #[serde(rename = "type", serialize_with = "serialize_type")]
    #[schema(value_type = String, example = "/problems/validation")]
    kind: ProblemKind,
    title: &'static str,
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
    /// The same once more as OpenAI's SDKs read errors, of routes that are not there: the address of the server may be wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<SdkError>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// An error as OpenAI's SDKs read it.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct SdkError {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'static str,
}

/// A text as documents show it: what callers sent may be in it, at any length.
fn shorten(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn serialize_type<S: Serializer>(kind: &ProblemKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{TYPES}{}", kind.name()))
}

impl Problem {
    /// A problem of this kind. `detail` is shown to the client.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self::with_status(kind, kind.status(), detail)
    }

    /// A problem of this kind with another status than usual.
    pub(crate) fn with_status(kind: ProblemKind, status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: shorten(detail.into()),
            request_id: None,
            errors: Vec::new(),
            categories: Vec::new(),
            moderation: Vec::new(),
            error: None,
            retry_after: None,
        }
    }

    /// With these violations, as many of them as an answer of moderate length can name.
    pub(crate) fn with_errors(self, mut errors: Vec<FieldError>) -> Self {
        for error in &mut errors {
            error.message = shorten(std::mem::take(&mut error.message));
            error.pointer = shorten(std::mem::take(&mut error.pointer));
        }
        let mut bytes = 0;
        let fits = |error: &&FieldError| {
            bytes += error.pointer.len() + error.message.len() + AROUND_ERROR;
            bytes <= MAX_ERROR_BYTES
        };
        let count = errors.iter().take_while(fits).count().max(1);
        if count < errors.len() {
            let message = format!("{} more fields are invalid", errors.len() - count);
            errors.truncate(count);
            errors.push(FieldError { pointer: String::new(), message });
        }
        Self { errors, ..self }
    }

    /// The same, about fields as they were sent.
    pub(crate) fn with_names(mut self, names: &SentNames) -> Self {
        let mut seen = Vec::new();
        for mut error in std::mem::take(&mut self.errors) {
            if let Some(sent) = names.sent(&error.pointer) {
                error.pointer = sent;
            }
            if !seen.contains(&(error.pointer.clone(), error.message.clone())) {
                seen.push((error.pointer.clone(), error.message.clone()));
                self.errors.push(error);
            }
        }
        self
    }

    pub(crate) fn with_findings(mut self, findings: Vec<FindingAnswer>) -> Self {
        self.categories = findings.iter().map(|finding| finding.category.clone()).collect();
        self.categories.sort_unstable();
        self.categories.dedup();
        Self { moderation: findings, ..self }
    }

    pub(crate) fn with_retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// Readable for OpenAI's SDKs, too.
    pub(crate) fn for_sdks(self) -> Self {
        let error = SdkError { message: self.detail.clone(), kind: "invalid_request_error", code: self.kind.name() };
        Self { error: Some(error), ..self }
    }

    /// Set the request's id; an empty one removes it.
    pub(crate) fn with_request_id(self, id: &str) -> Self {
        Self { request_id: (!id.is_empty()).then(|| id.to_owned()), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// All violations, or else the detail, in one line; `name` gives the fields at JSON pointers their names.
    pub(crate) fn message(&self, name: impl Fn(&str) -> String) -> String {
        let line = |error: &FieldError| match name(&error.pointer) {
            name if name.is_empty() => error.message.clone(),
            name => format!("{name}: {}", error.message),
        };
        let errors = self.errors.iter().map(line).collect::<Vec<_>>().join("; ");
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
