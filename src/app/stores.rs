//! Opens the database and the place of images that the configuration names.
//!
//! Invariant: what this build has no driver for is refused by the setting's key before anything is opened.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::features;
use super::private::prepare_data_folder;
use crate::config::{Config, ImagesLocation, Pictures, StoreLocation};
use crate::store::{self, BlobStore, Database, JobStore, KeyStore, S3Config};

/// The store of jobs and keys, and that of images, for a server.
pub(super) async fn open(config: &Config) -> anyhow::Result<(Arc<dyn Database>, Arc<dyn BlobStore>)> {
    features::require(config)?;
    let database = match config.store_location() {
        StoreLocation::Sqlite(file) => {
            prepare_data_folder(&config.server.data)?;
            store::open_sqlite(&file).await?
        }
        StoreLocation::Postgres(url) => store::open_postgres(&url, config.store.max_connections).await?,
    };
    let blobs = match config.images_location() {
        ImagesLocation::Folder(folder) => {
            prepare_data_folder(&config.server.data)?;
            store::open_local(&folder)?
        }
        ImagesLocation::S3 { bucket, prefix, settings } => store::open_s3(&s3(bucket, prefix, settings))?,
    };
    Ok((database, blobs))
}

/// The keys in that database; a server may be using it.
pub(super) async fn open_keys(config: &Config) -> anyhow::Result<Arc<dyn KeyStore>> {
    features::require(config)?;
    Ok(match config.store_location() {
        StoreLocation::Sqlite(file) => {
            prepare_data_folder(&config.server.data)?;
            store::open_sqlite_beside(&file).await?
        }
        StoreLocation::Postgres(url) => store::open_postgres(&url, 1).await?,
    })
}

/// The jobs in the database of a fleet, for one who looks at them.
pub(super) async fn open_jobs(config: &Config) -> anyhow::Result<Arc<dyn JobStore>> {
    match config.store_location() {
        StoreLocation::Postgres(url) => Ok(store::open_postgres(&url, 1).await?),
        StoreLocation::Sqlite(_) => anyhow::bail!("store.url: must be the address of a PostgreSQL database"),
    }
}

/// Bring the database up to date; a line for each migration.
pub async fn migrate(config: &Config) -> anyhow::Result<String> {
    features::require(config)?;
    let applied = match config.store_location() {
        StoreLocation::Sqlite(file) => {
            prepare_data_folder(&config.server.data)?;
            store::migrate_sqlite(&file).await?
        }
        StoreLocation::Postgres(url) => store::migrate_postgres(&url).await?,
    };
    let line = |step: &store::AppliedMigration| {
        format!("{:04} {}: {}", step.version, step.name, if step.new { "applied" } else { "was there" })
    };
    Ok(applied.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn s3(bucket: &str, prefix: &str, settings: &Pictures) -> S3Config {
    let not_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    S3Config {
        bucket: bucket.to_owned(),
        endpoint: not_empty(&settings.endpoint),
        region: not_empty(&settings.region),
        prefix: not_empty(prefix),
        access_key_id: not_empty(&settings.access_key_id),
        secret_access_key: Some(settings.secret_access_key.clone()).filter(|key| !key.expose_secret().is_empty()),
        allow_http: settings.allow_http,
    }
}
