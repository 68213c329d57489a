//! What is asked of the store about API keys.
//!
//! Invariant: the secret of a key is never stored, only its digest. All times are ms since 1970 and come from the caller.

use async_trait::async_trait;

use super::error::StoreError;
use crate::records::{ApiKey, KeyDigest};

/// API keys, and what they have used of their quotas.
#[async_trait]
pub trait KeyStore: Send + Sync {
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
