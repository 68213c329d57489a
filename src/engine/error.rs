//! Why the workers cannot be started.

use crate::tensor::Error;

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("no device to run on")]
    NoDevice,
    /// The model cannot be loaded.
    #[error(transparent)]
    Load(#[from] Error),
    /// A worker's thread cannot be started.
    #[error("cannot start a worker: {0}")]
    Thread(#[from] std::io::Error),
    #[error("a worker died while it loaded the model")]
    WorkerDied,
}
