//! Faults on purpose, for tests: what a step does is decided by a hook of the configuration.
//!
//! Invariant: nothing that a client sends can get here.

use std::sync::Arc;

use super::StageName;

/// A step that is about to be taken.
#[derive(Debug)]
pub struct FaultPoint<'a> {
    /// Number of the worker.
    pub worker: usize,
    pub stage: StageName,
    /// Seeds of the pictures in the batch.
    pub seeds: &'a [u64],
}

/// What goes wrong in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// The model panics.
    Panic,
    /// The worker goes down.
    Crash,
}

/// Decides about every step.
pub type FaultHook = Arc<dyn Fn(&FaultPoint<'_>) -> Fault + Send + Sync>;
