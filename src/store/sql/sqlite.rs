//! Jobs and keys in one SQLite file, for one server.
//!
//! Invariant: whatever was committed survives the death of the process, at any time. (`synchronous = NORMAL` hands every
//! commit to the operating system but waits for the disk at checkpoints only. If the machine loses power, the last commits
//! may be gone; the file itself stays sound.)

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteQueryResult, SqliteSynchronous};
use sqlx::{Connection as _, Pool, Sqlite};

use super::dialect::{Dialect, SqlStore};
use super::file::{self, DatabaseFile};
use super::migrate::{AppliedMigration, is_current, migrate, migrations};
use super::statements;
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::keys::KeyStore;

/// Options of a database file.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// How long to wait for another process that holds the database: a backup, or `kandinsky keys`. (A second server is
    /// refused.)
    pub busy_timeout: Duration,
    /// Pages (of 4 KiB) that the file may have; `None`: as many as fit on the disk.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5), max_pages: None }
    }
}

/// WAL lets them read while the writer writes.
const READERS: u32 = 4;

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| migrations!("sqlite"));

struct SqliteDialect;

impl Dialect for SqliteDialect {
    type Db = Sqlite;
    /// Takes the write lock at once; a transaction that reads first could not be promoted once another has written.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const SELECT_STATE: &'static str = statements::select_state!("");
    const SELECT_KEYED: &'static str = statements::select_keyed!("");
    const SELECT_LOST: &'static str = statements::select_lost!("");
    const LEASE_DUE: &'static str =
        statements::lease_due!("", "SELECT value FROM json_each($4)", "SELECT value FROM json_each($5)");
    const LOCK_OWNER: Option<&'static str> = None;
    const SELECT_SUSPICION: &'static str = statements::select_suspicion!("");
    const LIST_UNKNOWN: &'static str = "SELECT value AS id FROM json_each($1) AS asked \
         WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = asked.value)";
    const NOW: &'static str = "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now";
    const TAKE_REQUESTS: Option<&'static str> = None;
    const CHECKPOINT: Option<&'static str> = Some("PRAGMA wal_checkpoint(TRUNCATE)");

    fn touched(result: &SqliteQueryResult) -> u64 {
        result.rows_affected()
    }
}

/// Open (or make) the database, bring its schema up to date, and keep other processes out.
pub async fn open_sqlite(path: &Path) -> Result<Arc<dyn Database>, StoreError> {
    open_sqlite_with(path, &SqliteOptions::default()).await
}

/// Like [`open_sqlite`].
pub async fn open_sqlite_with(path: &Path, options: &SqliteOptions) -> Result<Arc<dyn Database>, StoreError> {
    let (store, _) = open(path, options).await?;
    Ok(Arc::new(store))
}

/// Open the database for keys alone, beside a server that may be using it: WAL lets another process write between a server's
/// transactions, and nothing that the server's lock is for (leases, idle workers) has to do with keys. The lock is taken
/// only for as long as the schema has to be made.
pub async fn open_sqlite_beside(path: &Path) -> Result<Arc<dyn KeyStore>, StoreError> {
    let options = SqliteOptions::default();
    make_folder(path)?;
    let writers = pool(1, options.busy_timeout, connect(path, &options)).await?;
    if !is_current(&MIGRATIONS, &writers).await? {
        let _guard = file::lock(path).map_err(|error| match error {
            StoreError::Unavailable(_) => StoreError::Unavailable(format!(
                "the server that uses {} has not made its tables yet, or is older than this program",
                path.display()
            )),
            other => other,
        })?;
        migrate(&MIGRATIONS, &writers).await?;
    }
    Ok(Arc::new(SqlStore::<SqliteDialect> { readers: writers.clone(), writers, file: None }))
}

/// Bring the schema up to date and say which migrations it has.
pub async fn migrate_sqlite(path: &Path) -> Result<Vec<AppliedMigration>, StoreError> {
    let (store, applied) = open(path, &SqliteOptions::default()).await?;
    store.readers.close().await;
    store.writers.close().await;
    Ok(applied)
}

async fn open(
    path: &Path,
    options: &SqliteOptions,
) -> Result<(SqlStore<SqliteDialect>, Vec<AppliedMigration>), StoreError> {
    make_folder(path)?;
    let file = DatabaseFile::open(path)?;
    let opened = match open_pools(path, options).await {
        // It has to start to be able to clean.
        Err(StoreError::Full(why)) if file.release_reserve() => {
            tracing::warn!(why, "the disk is full; what was held in reserve is given up to start");
            open_pools(path, options).await
        }
        opened => opened,
    };
    let (writers, readers, applied) = opened?;
    if let Err(error) = file.restore_reserve() {
        tracing::warn!(%error, "there is no room for the reserve for a full disk");
    }
    Ok((SqlStore { readers, writers, file: Some(file) }, applied))
}

type OpenPools = (Pool<Sqlite>, Pool<Sqlite>, Vec<AppliedMigration>);

async fn open_pools(path: &Path, options: &SqliteOptions) -> Result<OpenPools, StoreError> {
    let connect = connect(path, options);
    let writers = pool(1, options.busy_timeout, connect.clone()).await?;
    let applied = migrate(&MIGRATIONS, &writers).await?;
    let readers = pool(READERS, options.busy_timeout, connect).await?;
    Ok((writers, readers, applied))
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)
        .map_err(|why| StoreError::Failed(format!("cannot make the folder {}: {why}", folder.display())))
}

fn connect(path: &Path, options: &SqliteOptions) -> SqliteConnectOptions {
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        // What is deleted is overwritten; `Upkeep::scrub` has it leave the log, too.
        .pragma("secure_delete", "ON")
        // A log of up to 1 MiB, which shrinks again: on a small disk it competes with images.
        .pragma("wal_autocheckpoint", "256")
        .pragma("journal_size_limit", "1048576")
        .busy_timeout(options.busy_timeout);
    match options.max_pages {
        Some(pages) => connect.pragma("max_page_count", pages.to_string()),
        None => connect,
    }
}

/// Connections that stay: opening one means parsing the schema again.
async fn pool(
    connections: u32,
    busy_timeout: Duration,
    options: SqliteConnectOptions,
) -> Result<Pool<Sqlite>, StoreError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        // The task that has the connection may be waiting for the database.
        .acquire_timeout(busy_timeout * 2)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        // On a full disk SQLite rolls back by itself. The driver still counts a transaction then, and would begin no other
        // on this connection. (The ping comes back after a rollback that is under way.)
        .after_release(|connection, _| {
            Box::pin(async move {
                if connection.is_in_transaction() {
                    connection.ping().await?;
                }
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}
