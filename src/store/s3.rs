//! Files in a bucket of S3, or of anything that speaks its protocol.

use std::sync::Arc;
use std::time::Duration;

use object_store::RetryConfig;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use secrecy::ExposeSecret as _;

use super::blobs::{BlobStore, ObjectBlobs, S3Config};
use super::error::StoreError;
use crate::tls;

const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);

/// Files in a bucket. Nothing is sent yet: ask [`BlobStore::ping`].
pub fn open_s3(config: &S3Config) -> Result<Arc<dyn BlobStore>, StoreError> {
    tls::install_provider();
    let mut builder = match (&config.access_key_id, &config.secret_access_key) {
        (Some(id), Some(secret)) => {
            AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret.expose_secret())
        }
        (None, None) => AmazonS3Builder::from_env(),
        _ => return Err(StoreError::Failed("an S3 access key needs both its id and its secret".to_owned())),
    };
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    builder = builder
        .with_bucket_name(&config.bucket)
        .with_allow_http(config.allow_http)
        .with_retry(retry)
        // Not all that speak S3 delete in bulk, and a job has few files.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    let store = builder.build().map_err(|why| StoreError::Failed(why.to_string()))?;
    let prefix = config.prefix.as_deref().map(Path::from).unwrap_or_default();
    Ok(Arc::new(ObjectBlobs { store: Arc::new(store), prefix, local: None }))
}
