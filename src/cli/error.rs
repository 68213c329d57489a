//! Why a command failed, by exit code.

use std::process::ExitCode;

use crate::config::ConfigError;

/// Why a command failed.
pub(super) enum CommandError {
    /// Wrong usage or configuration: exit code 2.
    Usage(anyhow::Error),
    /// Anything else: exit code 1.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for CommandError {
    fn from(error: E) -> Self {
        let error = error.into();
        if error.is::<ConfigError>() { Self::Usage(error) } else { Self::Failed(error) }
    }
}

impl CommandError {
    /// Print the error to stderr, and give the exit code.
    pub(super) fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Self::Usage(error) => (error, 2),
            Self::Failed(error) => (error, 1),
        };
        eprintln!("kandinsky: {error:#}");
        ExitCode::from(code)
    }
}
