//! What stands in for `postgres.rs` in a build without the feature `postgres`.
//!
//! Invariant: the functions have the driver's signatures, so that no caller depends on what was built.

use std::sync::Arc;

use secrecy::SecretString;

use super::migrate::AppliedMigration;
use crate::store::database::Database;
use crate::store::error::StoreError;

/// Fails: this build has no driver.
pub async fn open_postgres(_url: &SecretString, _max_connections: u32) -> Result<Arc<dyn Database>, StoreError> {
    Err(missing())
}

/// Fails: this build has no driver.
pub async fn migrate_postgres(_url: &SecretString) -> Result<Vec<AppliedMigration>, StoreError> {
    Err(missing())
}

fn missing() -> StoreError {
    StoreError::Failed("this build has no PostgreSQL driver: build it with --features postgres".to_owned())
}
