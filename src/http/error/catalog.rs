//! The problems that this server answers with, in its own words.
//!
//! Invariant: no handler writes the text of a problem that another one has, too: it is here.

use std::time::Duration;

use axum::http::StatusCode;

use super::finding::FindingAnswer;
use super::kind::ProblemKind;
use super::problem::{FieldError, Problem};
use crate::domain::excerpt;

/// Most characters of a value that a message repeats.
const MAX_ECHO: usize = 100;

/// A value as messages repeat it.
fn cut(value: &str) -> String {
    value.chars().take(MAX_ECHO).collect()
}

/// `Retry-After` of faults that may pass.
pub(crate) const RETRY_SOON: Duration = Duration::from_secs(5);

impl Problem {
    /// The request cannot be parsed.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Malformed, detail)
    }

    /// The framework cannot read the request, such as a path that is not UTF-8.
    pub(crate) fn unreadable(status: StatusCode) -> Self {
        Self::with_status(ProblemKind::Malformed, status, "the request cannot be read")
    }

    /// There is no such resource, or the caller may not see it.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("{what} not found"))
    }

    /// There is no such route; `nearest` is the one that may have been meant.
    pub(crate) fn no_route(method: &str, path: &str, nearest: Option<&str>) -> Self {
        let what = format!("there is no route {} {}", excerpt(method), excerpt(path));
        let hint = match nearest {
            Some(route) => format!("did you mean {route}?"),
            None => "GET /openapi.json lists all routes; OpenAI's clients take the base address http://HOST:PORT/v1"
                .to_owned(),
        };
        Self::new(ProblemKind::NotFound, format!("{what}: {hint}"))
    }

    /// The requested model is not the loaded one.
    pub(crate) fn model_not_found(id: &str, loaded: &str) -> Self {
        Self::new(ProblemKind::ModelNotFound, format!("the model {} is not loaded; {loaded} is", excerpt(id)))
    }

    /// The route exists, for other methods.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(ProblemKind::MethodNotAllowed, "the route does not support this method")
    }

    /// The resource was there, and its time to live has passed.
    pub(crate) fn expired(what: &str) -> Self {
        Self::new(ProblemKind::Expired, format!("the {what} has expired"))
    }

    /// The resource was there, and something else than its time to live took it away.
    pub(crate) fn gone(what: &str) -> Self {
        Self::new(ProblemKind::Expired, format!("the {what} is gone"))
    }

    /// The job ended without images because it was canceled.
    pub(crate) fn canceled() -> Self {
        Self::new(ProblemKind::Canceled, "the job was canceled")
    }

    /// The body or an image is over a limit.
    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::TooLarge, detail)
    }

    /// The body is of a media type or encoding that the route does not take.
    pub(crate) fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::UnsupportedMediaType, detail)
    }

    /// The loaded model does not support the request, for this reason.
    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unsupported, reason)
    }

    /// Values that break rules.
    pub(crate) fn validation(errors: Vec<FieldError>) -> Self {
        Self::new(ProblemKind::Validation, "the request is invalid; see errors").with_errors(errors)
    }

    /// One value that breaks a rule.
    pub(crate) fn invalid(pointer: &str, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError { pointer: pointer.to_owned(), message: message.into() }])
    }

    /// The request has no key, and the server requires one.
    pub(crate) fn key_missing() -> Self {
        let detail = "an API key is required: Authorization: Bearer KEY (or api-key: KEY, x-api-key: KEY, or Basic with \
                      the key as the password)";
        Self::new(ProblemKind::KeyMissing, detail)
    }

    /// The request names a host that is not known to be this server.
    pub(crate) fn foreign_host(host: &str) -> Self {
        let detail = format!(
            "a server that asks for no key answers only under its own names, and {} is none of them: the operator lists \
             it in server.allowed_hosts, or sets server.public_url",
            cut(host)
        );
        Self::new(ProblemKind::ForeignHost, detail)
    }

    /// A page of this origin may not use the server.
    pub(crate) fn foreign_origin(origin: &str) -> Self {
        let detail = format!(
            "pages of {} may not use this server; the operator lists origins that may in server.cors_origins",
            cut(origin)
        );
        Self::new(ProblemKind::ForeignOrigin, detail)
    }

    /// The key lacks a scope; `scope` is quoted.
    pub(crate) fn missing_scope(scope: &str) -> Self {
        Self::new(ProblemKind::MissingScope, format!("this key lacks the scope {scope}"))
    }

    /// The key may not ask for the priority `asked`, only for those up to `highest`.
    pub(crate) fn priority_not_allowed(highest: &str, asked: &str) -> Self {
        let detail = format!("the highest priority of this key is {highest}, not {asked}");
        Self::new(ProblemKind::PriorityNotAllowed, detail)
    }

    /// Moderation refuses a prompt or an image.
    pub(crate) fn blocked(detail: impl Into<String>, findings: Vec<FindingAnswer>) -> Self {
        Self::new(ProblemKind::ModerationBlocked, detail).with_findings(findings)
    }

    /// Nothing is generated without moderation, and moderation does not answer.
    pub(crate) fn unmoderated() -> Self {
        let detail = "the moderation service is unavailable";
        Self::new(ProblemKind::ModerationUnavailable, detail).with_retry_after(RETRY_SOON)
    }

    /// Texts are drawn as their translations alone, and there are none.
    pub(crate) fn untranslated() -> Self {
        let detail = "the prompt cannot be translated at present; with \"translate\": \"off\" it is drawn as it is";
        Self::new(ProblemKind::TranslationUnavailable, detail).with_retry_after(RETRY_SOON)
    }

    /// The body was too slow.
    pub(crate) fn body_timeout() -> Self {
        Self::new(ProblemKind::BodyTimeout, "the body did not arrive in time")
    }

    /// The memory of request bodies is in use.
    pub(crate) fn busy(retry_after: Duration) -> Self {
        Self::new(ProblemKind::Busy, "too many request bodies are being read").with_retry_after(retry_after)
    }

    /// Other requests' images take all the memory for decoding.
    pub(crate) fn decoders_busy(retry_after: Duration) -> Self {
        Self::new(ProblemKind::Busy, "too many images are being decoded").with_retry_after(retry_after)
    }

    /// The client has as many streams of events open as it may.
    pub(crate) fn too_many_streams(most: u64) -> Self {
        let detail = format!("a client may have at most {most} streams of events open at once");
        Self::new(ProblemKind::Concurrency, detail).with_retry_after(RETRY_SOON)
    }

    /// Responses are not being read.
    pub(crate) fn unread() -> Self {
        Self::new(ProblemKind::Busy, "too many responses are waiting to be read").with_retry_after(RETRY_SOON)
    }

    /// Too many requests are being answered.
    pub(crate) fn too_many_requests() -> Self {
        Self::new(ProblemKind::Busy, "too many requests are being answered").with_retry_after(RETRY_SOON)
    }

    /// All places for connections are taken.
    pub(crate) fn too_many_connections() -> Self {
        Self::new(ProblemKind::Busy, "there are too many connections").with_retry_after(RETRY_SOON)
    }

    /// The server is shutting down.
    pub(crate) fn draining(retry_after: Duration) -> Self {
        Self::new(ProblemKind::Draining, "the server is shutting down").with_retry_after(retry_after)
    }

    /// A part of the server is not available for now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unavailable, detail).with_retry_after(RETRY_SOON)
    }

    /// The server's fault; the details are in the log alone.
    pub(crate) fn internal() -> Self {
        Self::new(ProblemKind::Internal, "internal error")
    }
}
