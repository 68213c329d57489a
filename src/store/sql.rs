//! Jobs and keys in a database: one implementation, two dialects.
//!
//! Invariant: a method is one statement or one transaction, so a caller that goes away half-way leaves nothing half done.

mod dialect;
mod file;
mod jobs;
mod keys;
mod migrate;
#[cfg_attr(not(feature = "postgres"), path = "sql/postgres_missing.rs")]
mod postgres;
mod rows;
mod spec;
mod sqlite;
mod statements;
mod upkeep;

pub use migrate::AppliedMigration;
pub use postgres::{migrate_postgres, open_postgres};
pub use sqlite::{SqliteOptions, migrate_sqlite, open_sqlite, open_sqlite_beside, open_sqlite_with};
