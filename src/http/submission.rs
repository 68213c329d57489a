//! From the body of a generation request to its job, for native routes and compatible APIs alike.
//!
//! Invariant: a request is refused before anything is queued, and with all violations at once.

pub(crate) mod check;
pub(crate) mod moderate;
pub(crate) mod resolve;
pub(crate) mod submit;
mod translate;
