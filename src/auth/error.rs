//! Why a caller is refused. The messages are shown to clients.

use std::time::Duration;

use crate::store::StoreError;

/// Why a key is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Unknown id or wrong secret; deliberately not distinguished.
    #[error("invalid API key")]
    Invalid,
    #[error("the API key has been revoked")]
    Revoked,
    #[error("the API key has expired")]
    Expired,
    #[error("the API key is over its rate of {rate} requests per minute")]
    RateLimited { rate: u32, retry_after: Duration },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a signed URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedUrlError {
    #[error("the signature of this URL is invalid")]
    Forged,
    #[error("this URL has expired; get a new one from the job")]
    Expired,
}
