//! Where jobs and images are kept: what the settings of `store` and `pictures` amount to.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::load::Config;
use super::sections::Pictures;

/// Where jobs and keys are kept.
#[derive(Debug, Clone)]
pub enum StoreLocation {
    /// A file, of one server.
    Sqlite(PathBuf),
    /// The URL of a database, with its password.
    Postgres(SecretString),
}

/// Where images are kept.
#[derive(Debug, Clone)]
pub enum ImagesLocation<'a> {
    Folder(PathBuf),
    /// A bucket, and what comes before the names of files in it.
    S3 {
        bucket: &'a str,
        prefix: &'a str,
        settings: &'a Pictures,
    },
}

impl Config {
    /// Whether several processes share the work.
    #[must_use]
    pub fn is_fleet(&self) -> bool {
        !self.broker.url.expose_secret().is_empty()
    }

    /// Where jobs and keys are kept.
    #[must_use]
    pub fn store_location(&self) -> StoreLocation {
        if self.store.url.expose_secret().is_empty() {
            StoreLocation::Sqlite(self.server.data.join("jobs.sqlite"))
        } else {
            StoreLocation::Postgres(self.store.url.clone())
        }
    }

    /// Where images are kept.
    #[must_use]
    pub fn images_location(&self) -> ImagesLocation<'_> {
        // The rule of the setting lets through nothing else.
        let Some(address) = self.pictures.url.strip_prefix("s3://") else {
            return ImagesLocation::Folder(self.server.data.join("pictures"));
        };
        let (bucket, prefix) = address.split_once('/').unwrap_or((address, ""));
        ImagesLocation::S3 { bucket, prefix: prefix.trim_end_matches('/'), settings: &self.pictures }
    }
}
