//! What is noticed while a request is read, beside its values.
//!
//! Invariant: a violation found later is about a field of the native request; [`SentNames`] turns it into what was sent.

use crate::domain::{Violations, Warning};

/// What is noticed while a request is read.
#[derive(Debug, Default)]
pub struct Reading {
    pub violations: Violations,
    /// What was sent and has no effect.
    pub warnings: Vec<Warning>,
    pub names: SentNames,
}

/// Under which names fields were sent, where these are not their own.
#[derive(Debug, Clone, Default)]
pub struct SentNames(Vec<(String, String)>);

impl SentNames {
    /// The field at the JSON pointer `own` was sent at `sent`.
    pub fn add(&mut self, own: impl Into<String>, sent: impl Into<String>) {
        self.0.push((own.into(), sent.into()));
    }

    /// The JSON pointer that was sent for this one, or for what it is a part of.
    #[must_use]
    pub fn sent(&self, pointer: &str) -> Option<String> {
        self.0.iter().find_map(|(own, sent)| {
            let rest = pointer.strip_prefix(own.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{sent}{rest}"))
        })
    }
}
