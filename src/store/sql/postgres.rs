//! Jobs and keys in PostgreSQL, for any number of processes.
//!
//! Invariant: a row is locked before its state decides anything, so of two processes one sees what the other did.

use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult};
use sqlx::{Connection, Executor, PgConnection, Pool, Postgres};

use super::dialect::{Dialect, SqlStore};
use super::migrate::{AppliedMigration, migrate, migrations};
use super::statements;
use crate::store::database::Database;
use crate::store::error::StoreError;

/// How long to wait for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Limits of a session: what waits longer for a lock, or runs longer, fails as unavailable.
const SESSION: &str = "SET lock_timeout = '5s'; SET statement_timeout = '30s'; \
     SET idle_in_transaction_session_timeout = '30s'";

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| migrations!("postgres"));

/// ns, the same in the whole statement. It waits for others that take from this bucket, so its time may be past: then it takes
/// less.
macro_rules! statement_time {
    () => {
        "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT) * 1000"
    };
}

/// When the bucket is full, after what is owed.
macro_rules! full_after_debts {
    () => {
        concat!("(GREATEST(full_at, ", statement_time!(), ") + CAST($4 AS BIGINT) * $2)")
    };
}

/// As many of those that are wanted as are full a minute from now.
macro_rules! granted_requests {
    () => {
        concat!("GREATEST(0, LEAST($3, (", statement_time!(), " + 60000000000 - ", full_after_debts!(), ") / $2))")
    };
}

const TAKE_REQUESTS: &str = concat!(
    "UPDATE key_requests SET granted = ",
    granted_requests!(),
    ", full_at = ",
    full_after_debts!(),
    " + ",
    granted_requests!(),
    " * $2 WHERE key_id = $1 RETURNING granted, full_at + $2 - 60000000000 - ",
    statement_time!(),
    " AS wait"
);

struct PostgresDialect;

impl Dialect for PostgresDialect {
    type Db = Postgres;
    const BEGIN: &'static str = "BEGIN";
    const SELECT_STATE: &'static str = statements::select_state!(" FOR UPDATE");
    const SELECT_KEYED: &'static str = statements::select_keyed!(" FOR UPDATE");
    /// Rows that another process is recovering are skipped.
    const SELECT_LOST: &'static str = statements::select_lost!(" FOR UPDATE SKIP LOCKED");
    const LEASE_DUE: &'static str = statements::lease_due!(
        " FOR UPDATE SKIP LOCKED",
        "SELECT jsonb_array_elements_text($4::text::jsonb)",
        "SELECT jsonb_array_elements_text($5::text::jsonb)"
    );
    const LOCK_OWNER: Option<&'static str> = Some("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))");
    const SELECT_SUSPICION: &'static str = statements::select_suspicion!(" FOR UPDATE");
    const LIST_UNKNOWN: &'static str = "SELECT asked AS id FROM jsonb_array_elements_text($1::text::jsonb) AS asked \
         WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = asked)";
    const NOW: &'static str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now";
    const TAKE_REQUESTS: Option<&'static str> = Some(TAKE_REQUESTS);
    /// The server's own affair.
    const CHECKPOINT: Option<&'static str> = None;

    fn touched(result: &PgQueryResult) -> u64 {
        result.rows_affected()
    }
}

/// Connect with at most `max_connections` at a time, and bring the schema up to date.
pub async fn open_postgres(url: &SecretString, max_connections: u32) -> Result<Arc<dyn Database>, StoreError> {
    let pool = connect(url, max_connections).await?;
    migrate(&MIGRATIONS, &pool).await?;
    Ok(Arc::new(SqlStore::<PostgresDialect> { readers: pool.clone(), writers: pool, file: None }))
}

/// Bring the schema up to date and say which migrations it has.
pub async fn migrate_postgres(url: &SecretString) -> Result<Vec<AppliedMigration>, StoreError> {
    let pool = connect(url, 1).await?;
    let applied = migrate(&MIGRATIONS, &pool).await?;
    pool.close().await;
    Ok(applied)
}

async fn connect(url: &SecretString, max_connections: u32) -> Result<Pool<Postgres>, StoreError> {
    // The parser's message may repeat the URL, with the password in it.
    let options = PgConnectOptions::from_str(url.expose_secret()).map_err(|_| {
        StoreError::Failed("invalid PostgreSQL URL (expected postgres://user:password@host/database)".to_owned())
    })?;
    // The pool would try until its timeout, and then not report what was wrong.
    PgConnection::connect_with(&options).await?.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(max_connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(SESSION)).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}
