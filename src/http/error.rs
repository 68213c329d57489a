//! Errors as clients read them.
//!
//! Invariant: [`problem`] knows nothing of the modules that fail; [`mapping`] knows what can fail, and [`surface`] which
//! form a client reads.

pub(crate) mod finding;
mod mapping;
pub(crate) mod problem;
pub(crate) mod surface;
