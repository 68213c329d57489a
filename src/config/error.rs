//! Why there is no configuration. Messages name keys and where values came from, and never the value of a secret.

use std::fmt;
use std::path::PathBuf;

use super::redact::without_user_info;

/// One key that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub key: String,
    pub message: String,
    /// The file, variable or flag that said so.
    pub source: Option<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, without_user_info(&self.message))?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration: {}: {message}", file.display())]
    Unreadable { file: PathBuf, message: String },
    #[error("configuration: {}", lines(.0))]
    Invalid(Vec<Violation>),
}

fn lines(violations: &[Violation]) -> String {
    match violations {
        [one] => one.to_string(),
        several => {
            let list: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("{} keys are wrong:\n  {}", several.len(), list.join("\n  "))
        }
    }
}
