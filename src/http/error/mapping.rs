//! Errors of other modules as problems.
//!
//! Invariant: every error that can reach a handler has one kind, and it is given here.

use super::catalog::RETRY_SOON;
use super::finding::FindingAnswer;
use super::kind::ProblemKind;
use super::problem::{FieldError, Problem};
use crate::auth::{KeyError, SignedUrlError};
use crate::domain::{Failure, FailureKind, Violation, Violations};
use crate::jobs::Refusal;
use crate::modes::request::{Refused, TooLarge};
use crate::store::StoreError;

impl From<Violations> for Problem {
    fn from(violations: Violations) -> Self {
        let mut kept: Vec<FieldError> = Vec::new();
        for Violation { pointer, message } in violations.0 {
            // What is wrong with a part, or was found first, is why the rest follows.
            let follows = |first: &FieldError| {
                first
                    .pointer
                    .strip_prefix(pointer.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if pointer.is_empty() || !kept.iter().any(follows) {
                kept.push(FieldError { pointer, message });
            }
        }
        Self::validation(kept)
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

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooLarge(error) => error.into(),
            Refused::Invalid(violations) => violations.into(),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let Failure { kind, message, findings } = failure;
        match kind {
            FailureKind::Unsupported => Self::unsupported(message),
            FailureKind::Canceled => Self::new(ProblemKind::Canceled, message),
            FailureKind::Unavailable | FailureKind::Lost => Self::unavailable(message),
            FailureKind::Blocked => Self::blocked(message, findings.into_iter().map(FindingAnswer::from).collect()),
            FailureKind::Unmoderated => Self::unmoderated(),
            FailureKind::Internal => Self::new(ProblemKind::Internal, message),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full { retry_after } => {
                Self::new(ProblemKind::QueueFull, "the queue is full").with_retry_after(retry_after)
            }
            Refusal::OwnShare { retry_after } => {
                let detail = "this key has its share of the queue: some of its jobs have to be done first";
                Self::new(ProblemKind::QueueFull, detail).with_retry_after(retry_after)
            }
            Refusal::TooLarge => Self::too_large("the images of the request exceed what the server can hold"),
            Refusal::Draining { retry_after } => Self::draining(retry_after),
            Refusal::Conflict => {
                let detail = "the idempotency key was used with a different request";
                Self::new(ProblemKind::IdempotencyConflict, detail)
            }
            Refusal::OwnJobs { most, retry_after } => {
                let detail = format!("this key may have at most {most} jobs queued or running");
                Self::new(ProblemKind::Concurrency, detail).with_retry_after(retry_after)
            }
            Refusal::OwnImages { most, retry_after: Some(retry_after) } => {
                let detail = format!("this key may make {most} images per day (UTC); not enough are left today");
                Self::new(ProblemKind::Quota, detail).with_retry_after(retry_after)
            }
            Refusal::OwnImages { most, retry_after: None } => {
                let detail = format!("the request asks for more images than this key's daily quota of {most}");
                Self::new(ProblemKind::OverQuota, detail)
            }
            Refusal::Store(error) => error.into(),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Invalid | KeyError::Revoked | KeyError::Expired => {
                Self::new(ProblemKind::InvalidKey, error.to_string())
            }
            KeyError::RateLimited { retry_after, .. } => {
                Self::new(ProblemKind::RateLimit, error.to_string()).with_retry_after(retry_after)
            }
            KeyError::Store(error) => error.into(),
        }
    }
}

impl From<SignedUrlError> for Problem {
    fn from(error: SignedUrlError) -> Self {
        Self::new(ProblemKind::BadSignature, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "storage error");
        match error {
            StoreError::Unavailable(_) => {
                Self::new(ProblemKind::StorageUnavailable, "the storage is unavailable").with_retry_after(RETRY_SOON)
            }
            StoreError::Full(_) => {
                Self::new(ProblemKind::StorageFull, "the storage is full").with_retry_after(RETRY_SOON)
            }
            StoreError::Failed(_) => Self::internal(),
        }
    }
}
