//! What the store keeps: jobs and API keys.
//!
//! Invariant: these are values; the store reads and writes them, and the jobs alone change their state.

mod job;
mod key;

pub use job::{Job, JobSpec, Suspicion};
pub use key::{ApiKey, KeyDigest, KeyLimits, Scope};
