//! Why a scheduler cannot be used.

/// What a noise schedule's configuration asks for and this implementation does not have, or a number of steps that the
/// schedule does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchedulerError(pub(super) String);
