//! Model code may fail or panic; the worker goes on.
//!
//! Invariant: what callers see of a failure names no file and no internal error; the log has those.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::memory;
use crate::domain::{Failure, FailureKind};
use crate::tensor::Error;

/// The device is gone, and the model with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkerLost;

/// Why a step failed.
pub(super) enum StepError {
    /// It is the fault of a sample.
    Failure(Failure),
    Lost,
}

/// Run model code; errors and panics become failures that callers may see, and are logged.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, StepError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Error::Request(message))) => Err(StepError::Failure(Failure::new(FailureKind::Unsupported, message))),
        Ok(Err(Error::MissingComponent { component, .. })) => {
            let message = format!("the loaded model has no {component}");
            Err(StepError::Failure(Failure::new(FailureKind::Unsupported, message)))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a step failed");
            Err(if memory::is_device_lost(&error) { StepError::Lost } else { StepError::Failure(internal()) })
        }
        Err(_) => {
            tracing::error!("a step panicked");
            Err(StepError::Failure(internal()))
        }
    }
}

/// A failure that is the server's fault.
pub(super) fn internal() -> Failure {
    Failure::new(FailureKind::Internal, "the image could not be made")
}

/// The failure of what a lost worker had begun.
pub(super) fn lost() -> Failure {
    Failure::new(FailureKind::Lost, "the worker was lost")
}
