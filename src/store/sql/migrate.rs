//! The schema's versions: applied in order, once each, when a store is opened.
//!
//! Invariant: a program never works on a schema that is newer than itself.

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Database, Pool, SqlSafeStr as _};

use crate::store::error::StoreError;

/// The migrations of one database, oldest first: the files of `migrations/DATABASE`, which has them under the same names as
/// the other databases' folders. A file is never changed once it has been released: the database keeps its checksum.
macro_rules! migrations {
    ($database:literal) => {
        crate::store::sql::migrate::migrator(&[
            (1, "jobs", include_str!(concat!("../../../migrations/", $database, "/0001_jobs.sql"))),
            (2, "losses", include_str!(concat!("../../../migrations/", $database, "/0002_losses.sql"))),
            (3, "keys", include_str!(concat!("../../../migrations/", $database, "/0003_keys.sql"))),
            (4, "durability", include_str!(concat!("../../../migrations/", $database, "/0004_durability.sql"))),
            (5, "fairness", include_str!(concat!("../../../migrations/", $database, "/0005_fairness.sql"))),
            (6, "requests", include_str!(concat!("../../../migrations/", $database, "/0006_requests.sql"))),
        ])
    };
}
pub(super) use migrations;

/// Migrations from version, name and statements.
pub(super) fn migrator(files: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |&(version, name, statements): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, statements.into_sql_str(), false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}

/// A migration that a database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedMigration {
    pub version: i64,
    pub name: String,
    /// Whether it was applied just now.
    pub new: bool,
}

/// Apply what is missing.
pub(super) async fn migrate<DB>(migrations: &Migrator, pool: &Pool<DB>) -> Result<Vec<AppliedMigration>, StoreError>
where
    DB: Database,
    DB::Connection: Migrate,
{
    let mut connection = pool.acquire().await?;
    // Servers that start together on an empty database wait for each other; the migrations take the lock themselves.
    connection.lock().await.map_err(explain)?;
    let made = connection.ensure_migrations_table(&migrations.table_name).await;
    connection.unlock().await.map_err(explain)?;
    made.map_err(explain)?;
    let before = connection.list_applied_migrations(&migrations.table_name).await.map_err(explain)?;
    migrations.run_direct(None, &mut *connection, false).await.map_err(explain)?;
    let known = migrations.iter().map(|migration| AppliedMigration {
        version: migration.version,
        name: migration.description.to_string(),
        new: !before.iter().any(|old| old.version == migration.version),
    });
    Ok(known.collect())
}

/// Whether nothing is missing, found out without writing.
pub(super) async fn is_current<DB>(migrations: &Migrator, pool: &Pool<DB>) -> Result<bool, StoreError>
where
    DB: Database,
    DB::Connection: Migrate,
{
    let mut connection = pool.acquire().await?;
    // In a new database, the table of migrations is missing, too.
    let Ok(applied) = connection.list_applied_migrations(&migrations.table_name).await else { return Ok(false) };
    let newer = applied.iter().find(|old| !migrations.iter().any(|known| known.version == old.version));
    match newer {
        Some(newer) => Err(explain(MigrateError::VersionMissing(newer.version))),
        None => Ok(migrations.iter().all(|known| applied.iter().any(|old| old.version == known.version))),
    }
}

fn explain(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        MigrateError::VersionMissing(version) => StoreError::Failed(format!(
            "the database was migrated to version {version} by a newer program; this one does not know it"
        )),
        error => StoreError::Failed(error.to_string()),
    }
}
