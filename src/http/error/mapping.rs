//! Errors of other modules as problems.
//!
//! Invariant: every error that can reach a handler has one status and one kind, and they are given here.

use axum::http::StatusCode;

use super::finding::FindingAnswer;
use super::problem::{FieldError, Problem, RETRY_SOON};
use crate::domain::{Failure, FailureKind, Violation, Violations};
use crate::jobs::Refusal;
use crate::modes::request::TooLarge;
use crate::store::StoreError;

impl From<Violations> for Problem {
    fn from(violations: Violations) -> Self {
        let field = |Violation { pointer, message }| FieldError { pointer, message };
        Self::validation(violations.0.into_iter().map(field).collect())
    }
}

impl From<Violation> for Problem {
    fn from(violation: Violation) -> Self {
        Violations(vec![violation]).into()
    }
}

impl From<TooLarge> for Problem {
    fn from(error: TooLarge) -> Self {
        Self::too_large(error.to_string())
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let Failure { kind, message, findings } = failure;
        match kind {
            FailureKind::Unsupported => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported", message),
            FailureKind::Canceled => Self::new(StatusCode::CONFLICT, "canceled", message),
            FailureKind::Unavailable | FailureKind::Lost => Self::unavailable("unavailable", message, RETRY_SOON),
            FailureKind::Blocked => Self::blocked(message, findings.into_iter().map(FindingAnswer::from).collect()),
            FailureKind::Unmoderated => Self::unmoderated(),
            FailureKind::Internal => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full { retry_after } => Self::unavailable("queue-full", "the queue is full", retry_after),
            Refusal::TooLarge => Self::too_large("the images of the request exceed what the server can hold"),
            Refusal::Draining { retry_after } => Self::draining(retry_after),
            Refusal::Conflict => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-conflict",
                "the idempotency key was used with a different request",
            ),
            Refusal::OwnJobs { most, retry_after } => {
                let detail = format!("this key may have at most {most} jobs queued or running");
                Self::too_many("concurrency", detail, retry_after)
            }
            Refusal::OwnPictures { most, retry_after: Some(retry_after) } => {
                let detail = format!("this key may make {most} images per day (UTC); not enough are left today");
                Self::too_many("quota", detail, retry_after)
            }
            Refusal::OwnPictures { most, retry_after: None } => Self::new(
                StatusCode::FORBIDDEN,
                "over-quota",
                format!("the request asks for more images than this key's daily quota of {most}"),
            ),
            Refusal::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "storage error");
        match error {
            StoreError::Unavailable(_) => {
                Self::unavailable("storage-unavailable", "the storage is unavailable", RETRY_SOON)
            }
            StoreError::Full(_) => Self::unavailable("storage-full", "the storage is full", RETRY_SOON),
            StoreError::Failed(_) => Self::internal(),
        }
    }
}
