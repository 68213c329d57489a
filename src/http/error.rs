//! Errors as clients read them.
//!
//! | file | holds |
//! |---|---|
//! | `problem` | the problem document; knows nothing of what fails |
//! | `kind` | its kinds and their statuses |
//! | `catalog` | the problems of this server, in its words |
//! | `mapping` | errors of other modules as problems |
//! | `log` | the line in the log of a request that is refused |
//! | `surface` | the forms in which clients of compatible APIs read problems |

pub(crate) mod catalog;
pub(crate) mod finding;
pub(crate) mod kind;
mod log;
mod mapping;
pub(crate) mod problem;
#[cfg(test)]
mod snapshots;
pub(crate) mod surface;
