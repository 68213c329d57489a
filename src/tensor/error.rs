//! What can go wrong in loading and running a network: every message names the file, and the tensor or field, at fault.

use std::path::PathBuf;

/// Result of loading or running a network.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of loading or running a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder of the checkpoint lacks a file that is needed.
    #[error("{path}: not found ({what})")]
    MissingFile { path: String, what: String },
    /// A file is there but cannot be read.
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
    /// A configuration file is not JSON, or one of its fields has a value that this implementation does not know.
    #[error("{path}: {message}")]
    Config { path: String, message: String },
    /// Something else lies where a file should be.
    #[error("{path}: this is {found}")]
    StandIn { path: String, found: &'static str },
    /// A weights file is damaged.
    #[error("{path}: damaged weights file: {message}")]
    DamagedWeights { path: String, message: String },
    /// A weights file has no tensor of this name.
    #[error("{path}: tensor {tensor} is missing")]
    MissingTensor { path: String, tensor: String },
    /// A tensor has another shape than the configuration asks for.
    #[error("{path}: tensor {tensor} has shape {got:?}, the configuration asks for {want:?}")]
    TensorShape { path: String, tensor: String, got: Vec<usize>, want: Vec<usize> },
    /// A network gave NaN or infinity.
    #[error("{stage} gave a value that is not a number; the weights in {path} may be damaged")]
    NotFinite { stage: &'static str, path: String },
    /// The checkpoint has no component that this call needs.
    #[error("the checkpoint in {path} has no {component}")]
    MissingComponent { path: String, component: &'static str },
    /// The caller asked for something that cannot be done.
    #[error("{0}")]
    Request(String),
    /// The tensor library failed (out of memory, device lost, ...).
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Fail if `stage`, whose weights are in `path`, gave NaN or infinity.
pub fn check_finite(values: &[f32], stage: &'static str, path: &str) -> Result<()> {
    if values.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    Err(Error::NotFinite { stage, path: path.to_owned() })
}

impl Error {
    /// An operation was given a tensor that does not fit it.
    #[must_use]
    pub fn shape(message: String) -> Self {
        Self::Tensor(candle_core::Error::Msg(message))
    }

    /// A configuration file of a model says what cannot be.
    pub fn config(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { path: path.into(), message: message.into() }
    }

    /// A file cannot be read.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into().display().to_string(), source }
    }
}
