//! What is asked of the store about API keys.
//!
//! Invariant: the secret of a key is never stored, only its digest. All times are ms since 1970 and come from the caller.

use std::time::Duration;

use async_trait::async_trait;

use super::error::StoreError;
use crate::records::{ApiKey, KeyDigest};

/// What a key's rate allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestGrant {
    /// Requests that may be made, of those that were asked for.
    pub granted: u32,
    /// Until one more may be made.
    pub retry_after: Duration,
}

/// Counts the requests of keys, for all processes that share the database, by its clock.
#[async_trait]
pub trait RequestCounter: Send + Sync {
    /// False: the database belongs to one process, which counts by itself.
    fn counts_requests(&self) -> bool;

    /// Ask for `wanted` requests of a key that may make `rate` a minute, and as many at once. `owed` were made already and are
    /// counted before, whether the rate allows them or not. In any period, no more are granted than `rate` and what it
    /// allows in that period.
    async fn take_requests(&self, id: &str, rate: u32, wanted: u32, owed: u32) -> Result<RequestGrant, StoreError>;
}

/// API keys, and what they have used of their quotas.
#[async_trait]
pub trait KeyStore: RequestCounter {
    /// Keep a new key. A known id is an error.
    async fn insert_key(&self, key: &ApiKey, digest: &KeyDigest) -> Result<(), StoreError>;

    /// A key, whatever its state, and the digest of its secret.
    async fn find_key(&self, id: &str) -> Result<Option<(ApiKey, KeyDigest)>, StoreError>;

    /// All keys, oldest first.
    async fn list_keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Revoke a key from `now` on, unless it was revoked before. False if it is unknown.
    async fn revoke_key(&self, id: &str, now: i64) -> Result<bool, StoreError>;

    /// Let the jobs of a key outlive its revocation. False if it is unknown.
    async fn keep_jobs(&self, id: &str) -> Result<bool, StoreError>;

    /// Record that a key was used at `now`, unless a later use is recorded.
    async fn record_key_use(&self, id: &str, now: i64) -> Result<(), StoreError>;

    /// Images that a key was charged for on the day (UTC) of `at`.
    async fn images_charged(&self, id: &str, at: i64) -> Result<u64, StoreError>;
}
