//! Why a run gave no images.
//!
//! Invariant: what callers see says nothing of the inside.

use crate::domain::{Failure, FailureKind};

/// See the module.
pub(super) enum Interrupted {
    Canceled,
    /// The process stops, or the worker was lost: the job is to be run again.
    Retry(Failure),
    Failed(Failure),
}

/// The failure that callers see for a fault of the server.
pub(super) fn internal(error: &str) -> Failure {
    tracing::error!(error, "a job failed");
    Failure::new(FailureKind::Internal, "the image could not be made")
}
