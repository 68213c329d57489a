//! Why a request cannot be done: violations of its own rules, or a failure while it ran.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::finding::Finding;
use super::named::impl_names;

impl_names!(FailureKind);

/// One broken rule, at a JSON pointer into the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub pointer: String,
    pub message: String,
}

/// All broken rules of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// Note that `message` holds against the value at `pointer`.
    pub fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(Violation { pointer: pointer.into(), message: message.into() });
    }

    /// Note `message` unless `holds`.
    pub fn require(&mut self, holds: bool, pointer: impl Into<String>, message: impl Into<String>) {
        if !holds {
            self.add(pointer, message);
        }
    }

    /// `Err` if there is any.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", violation.pointer, violation.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// Why a request that was accepted did not give images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: FailureKind,
    /// Fit for the client to see.
    pub message: String,
    /// What moderation objects to, where it was that.
    #[serde(default, rename = "moderation", skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// What sort of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FailureKind {
    /// The loaded model cannot do it.
    Unsupported,
    /// The request was dropped by its client.
    Canceled,
    /// The server is shutting down.
    Unavailable,
    /// The worker was lost on the way; the request may be run again.
    Lost,
    /// Moderation refuses an image that came of it.
    Blocked,
    /// Moderation does not answer, and no image is given out without it.
    Unmoderated,
    /// A fault of the server.
    Internal,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), findings: Vec::new() }
    }
}
