//! Image files on object_store: in a local folder, or in the bucket of a service that speaks S3.
//!
//! Invariant: a file is there whole or not at all (the folder: written beside, then renamed; S3: one PUT), and no name leads
//! out of its job's folder.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use secrecy::SecretString;
use uuid::Uuid;

use super::error::StoreError;

/// Deletions at a time.
const DELETIONS: usize = 8;
const LONGEST_NAME: usize = 100;
/// Overwritten each time to see whether files can be written. It cannot be a job's id.
const PING: &str = "ping";

/// Files: images that came in or were made, under `job/name`.
#[async_trait]
pub trait BlobStore: Send + Sync {
    async fn put(&self, job: Uuid, name: &str, bytes: Vec<u8>) -> Result<(), StoreError>;

    /// `None` if there is no such file.
    async fn get(&self, job: Uuid, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether there is such a file.
    async fn has(&self, job: Uuid, name: &str) -> Result<bool, StoreError> {
        Ok(self.get(job, name).await?.is_some())
    }

    /// Jobs that have files, where that can be found out and the place belongs to this server alone.
    async fn list_jobs(&self) -> Result<Vec<Uuid>, StoreError> {
        Ok(Vec::new())
    }

    /// Delete all files of a job whose names start with `prefix`.
    async fn delete(&self, job: Uuid, prefix: &str) -> Result<(), StoreError>;

    /// Whether files can be written.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// A bucket, and the credentials for it.
#[derive(Debug, Clone, Default)]
pub struct S3Config {
    pub bucket: String,
    /// Where it is not Amazon's: `https://host:port`, the bucket becoming the first part of the path.
    pub endpoint: Option<String>,
    /// Default: `us-east-1`; most services other than Amazon's ignore it.
    pub region: Option<String>,
    /// With `secret_access_key`; without the two, `AWS_*` in the environment and the machine's own role are tried.
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<SecretString>,
    /// Whether the endpoint may be `http://`.
    pub allow_http: bool,
    /// Put before all keys, so that several servers can share a bucket.
    pub prefix: Option<String>,
}

/// Files in an object store.
pub(super) struct ObjectBlobs {
    pub store: Arc<dyn ObjectStore>,
    pub prefix: Path,
    /// The folder, if the store is one.
    pub local: Option<PathBuf>,
}

/// Files in a folder, which is created if it does not exist.
pub fn open_local(folder: &FilePath) -> Result<Arc<dyn BlobStore>, StoreError> {
    let failed = |why: &dyn std::fmt::Display| StoreError::Failed(format!("cannot use {}: {why}", folder.display()));
    std::fs::create_dir_all(folder).map_err(|why| failed(&why))?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|why| failed(&why))?.with_automatic_cleanup(true);
    Ok(Arc::new(ObjectBlobs { store: Arc::new(store), prefix: Path::default(), local: Some(folder.to_owned()) }))
}

impl ObjectBlobs {
    fn folder(&self, job: Uuid) -> Path {
        self.prefix.clone().join(job.to_string())
    }

    fn key(&self, job: Uuid, name: &str) -> Result<Path, StoreError> {
        // A dot first hides files, and is how `..` begins.
        if name.is_empty() || name.starts_with('.') || !is_plain(name) {
            return Err(StoreError::Failed(format!("{name:?} is not a valid file name")));
        }
        Ok(self.folder(job).join(name))
    }
}

/// Whether no character of it has a meaning to a file system, a URL or a shell.
fn is_plain(name: &str) -> bool {
    name.len() <= LONGEST_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[async_trait]
impl BlobStore for ObjectBlobs {
    async fn put(&self, job: Uuid, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.store.put(&self.key(job, name)?, bytes.into()).await?;
        Ok(())
    }

    async fn get(&self, job: Uuid, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.store.get(&self.key(job, name)?).await {
            Ok(file) => Ok(Some(file.bytes().await?.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn has(&self, job: Uuid, name: &str) -> Result<bool, StoreError> {
        match self.store.head(&self.key(job, name)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn list_jobs(&self) -> Result<Vec<Uuid>, StoreError> {
        // A bucket may be shared by servers that know nothing of each other.
        let Some(root) = &self.local else { return Ok(Vec::new()) };
        let failed = |why: std::io::Error| StoreError::of_io(&why, why.to_string());
        let mut entries = tokio::fs::read_dir(root).await.map_err(failed)?;
        let mut jobs = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            jobs.extend(entry.file_name().to_str().and_then(|name| Uuid::try_parse(name).ok()));
        }
        Ok(jobs)
    }

    async fn delete(&self, job: Uuid, prefix: &str) -> Result<(), StoreError> {
        if !is_plain(prefix) {
            return Err(StoreError::Failed(format!("{prefix:?} is not a valid file name prefix")));
        }
        let files: Vec<Path> =
            self.store.list(Some(&self.folder(job))).map_ok(|file| file.location).try_collect().await?;
        let wanted = files.into_iter().filter(|file| file.filename().is_some_and(|name| name.starts_with(prefix)));
        futures_util::stream::iter(wanted.map(|file| async move {
            match self.store.delete(&file).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(StoreError::from(error)),
            }
        }))
        .buffer_unordered(DELETIONS)
        .try_collect::<Vec<()>>()
        .await?;
        if let (Some(root), true) = (&self.local, prefix.is_empty()) {
            // Temporary files of a process that died while it wrote are not listed.
            match tokio::fs::remove_dir_all(root.join(job.to_string())).await {
                Ok(()) => {}
                Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
                Err(why) => return Err(StoreError::of_io(&why, why.to_string())),
            }
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.put(&self.prefix.clone().join(PING), PING.into()).await?;
        Ok(())
    }
}
