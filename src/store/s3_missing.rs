//! What stands in for `s3.rs` in a build without the feature `s3`.
//!
//! Invariant: the function has the client's signature, so that no caller depends on what was built.

use std::sync::Arc;

use super::blobs::{BlobStore, S3Config};
use super::error::StoreError;

/// Fails: this build has no client for S3.
pub fn open_s3(_config: &S3Config) -> Result<Arc<dyn BlobStore>, StoreError> {
    Err(StoreError::Failed("this build has no S3 client: build it with --features s3".to_owned()))
}
