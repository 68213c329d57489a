//! Why a benchmark has no result.

/// Why a benchmark has no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{0}: not the address of a server")]
    Url(String),
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
    #[error("the server failed while it was warmed up: {0}")]
    WarmUp(String),
    #[error("the long jobs ended before a short one did, so nothing was measured: give them more steps")]
    LongTooShort,
    #[error("no request succeeded: {0}")]
    NothingDone(String),
}
