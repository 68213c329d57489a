//! The problems that a route can answer with, for the contract.
//!
//! Invariant: a route names kinds of problems; the statuses, the words, the schemas and the headers of its responses follow
//! from these, so that they are those of the problems themselves.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

use super::headers::{authenticate, retry_after, with_headers};
use crate::http::error::kind::ProblemKind;
use crate::http::error::problem::MEDIA_TYPE;

/// Responses by their statuses.
pub(crate) type Responses = BTreeMap<String, RefOr<Response>>;

/// The form in which the clients of an API read problems.
pub(crate) struct ErrorForm {
    pub(crate) media_type: &'static str,
    /// The name of its schema.
    pub(crate) schema: &'static str,
    /// The status that its clients read in place of a problem's own.
    pub(crate) status: fn(StatusCode) -> StatusCode,
    /// What it calls a kind, if it names kinds.
    pub(crate) code: fn(ProblemKind) -> Option<String>,
}

/// Problem documents.
pub(super) const NATIVE: ErrorForm = ErrorForm {
    media_type: MEDIA_TYPE,
    schema: "Problem",
    status: |status| status,
    code: |kind| Some(kind.name().to_owned()),
};

/// A problem that a route can answer with.
#[derive(Clone, Copy)]
pub(crate) struct Cause {
    kind: ProblemKind,
    words: &'static str,
}

impl ProblemKind {
    /// This kind, in the usual words.
    pub(crate) const fn usual(self) -> Cause {
        Cause { kind: self, words: self.words() }
    }

    /// This kind, in the words of a route.
    pub(crate) const fn said(self, words: &'static str) -> Cause {
        Cause { kind: self, words }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::BadSignature => "the signature of the URL is invalid or has expired",
            Self::BodyTimeout => "the body did not arrive in time",
            Self::Busy => "the server is busy",
            Self::Canceled => "another request canceled the job while this one waited",
            Self::Concurrency => {
                "the key has as many jobs queued or running, or the client as many streams of events open, as it may"
            }
            Self::Draining => "the server is shutting down",
            Self::Expired => "the job of this idempotency key has expired, or its images are gone",
            Self::ForeignHost => "the server requires no key and does not answer under this host name",
            Self::ForeignOrigin => "pages of this origin may not use the server",
            Self::IdempotencyConflict => "the idempotency key was used with a different request",
            Self::Internal => "internal error",
            Self::InvalidKey => "the API key is invalid, revoked or expired",
            Self::KeyMissing => "the server requires an API key and the request has none",
            Self::Malformed => "the request cannot be parsed",
            Self::MethodNotAllowed => "the route does not support this method",
            Self::MissingScope => "the key lacks the scope",
            Self::ModelNotFound => "the model is not loaded",
            Self::ModerationBlocked => "moderation refuses a prompt or an image",
            Self::ModerationUnavailable => "the moderation service is unavailable",
            Self::NotFound => "not found",
            Self::OverQuota => "the request asks for more images than the key's daily quota",
            Self::PriorityNotAllowed => "the priority is higher than the key allows",
            Self::QueueFull => "the queue, or the key's share of it, is full",
            Self::Quota => "the key's daily quota of images is used up",
            Self::RateLimit => "the key is over its rate of requests",
            Self::StorageFull => "the storage is full",
            Self::StorageUnavailable => "the storage is unavailable",
            Self::TooLarge => "the body or an image is too large",
            Self::TranslationUnavailable => "the prompt cannot be translated at present",
            Self::Unavailable => "a part of the server is unavailable",
            Self::Unsupported => "the loaded model does not support the request",
            Self::UnsupportedMediaType => "the body is neither JSON nor a form, or it is compressed",
            Self::Validation => "a value is out of range or of the wrong type",
        }
    }
}

/// Any route that is not public.
pub(crate) const ACCESS: [Cause; 9] = [
    ProblemKind::Malformed.usual(),
    ProblemKind::KeyMissing.usual(),
    ProblemKind::InvalidKey.usual(),
    ProblemKind::ForeignOrigin.usual(),
    ProblemKind::ForeignHost.usual(),
    ProblemKind::RateLimit.usual(),
    ProblemKind::Internal.usual(),
    ProblemKind::Busy.usual(),
    ProblemKind::StorageUnavailable.usual(),
];

/// Any route that reads a body.
pub(crate) const BODY: [Cause; 4] = [
    ProblemKind::BodyTimeout.usual(),
    ProblemKind::TooLarge.usual(),
    ProblemKind::UnsupportedMediaType.usual(),
    ProblemKind::Validation.usual(),
];

/// Any route that makes images.
pub(crate) const GENERATION: [Cause; 17] = [
    ProblemKind::ModerationBlocked.usual(),
    ProblemKind::MissingScope.usual(),
    ProblemKind::PriorityNotAllowed.usual(),
    ProblemKind::OverQuota.usual(),
    ProblemKind::NotFound.said("the job was deleted while this request waited"),
    ProblemKind::Canceled.usual(),
    ProblemKind::Expired.usual(),
    ProblemKind::Unsupported.usual(),
    ProblemKind::IdempotencyConflict.usual(),
    ProblemKind::Concurrency.usual(),
    ProblemKind::Quota.usual(),
    ProblemKind::QueueFull.usual(),
    ProblemKind::Draining.usual(),
    ProblemKind::ModerationUnavailable.usual(),
    ProblemKind::TranslationUnavailable.usual(),
    ProblemKind::StorageFull.usual(),
    ProblemKind::Unavailable.usual(),
];

/// The responses of these problems in this form.
pub(crate) fn problems(form: &ErrorForm, causes: &[&[Cause]]) -> Responses {
    let mut words: BTreeMap<StatusCode, Vec<String>> = BTreeMap::new();
    for Cause { kind, words: said } in causes.iter().copied().flatten() {
        let code = (form.code)(*kind).map(|code| format!(" (`{code}`)"));
        let said = format!("{said}{}", code.unwrap_or_default());
        words.entry((form.status)(kind.status())).or_default().push(said);
    }
    let response = |status: StatusCode, words: Vec<String>| {
        let content = Content::new(Some(Ref::from_schema_name(form.schema)));
        let response = ResponseBuilder::new().description(sentence(&words.join("; ")));
        let header = match status {
            StatusCode::UNAUTHORIZED => Some(authenticate()),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(retry_after()),
            _ => None,
        };
        with_headers(response.content(form.media_type, content), header).build()
    };
    let named = |(status, words): (StatusCode, _)| (status.as_str().to_owned(), RefOr::T(response(status, words)));
    words.into_iter().map(named).collect()
}

/// A text with a capital letter in front.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}
