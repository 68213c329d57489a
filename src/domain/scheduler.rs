//! Which scheduler a request wants, by name.
//!
//! Invariant: a name and nothing more. Which schedulers there are is the table of `schedulers`: a checked request has a
//! name of the table, and a model refuses one that it does not know.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a scheduler, as requests and stored jobs have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scheduler(Cow<'static, str>);

impl Scheduler {
    /// The scheduler of this name, which need not exist.
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self(name.into())
    }

    /// The name in requests.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
