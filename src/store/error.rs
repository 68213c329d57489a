//! Why the store failed: three kinds, whatever the database or the service behind it.
//!
//! Invariant: an error carries the driver's message and nothing else from inside: no addresses, no statements.

use std::error::Error;
use std::io;

use sqlx::sqlite::SqliteError;

/// Why the store did not do it. Nothing of it was done, then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Locked, unreachable or out of connections: may work later.
    #[error("the store is busy or out of reach: {0}")]
    Unavailable(String),
    /// No room left.
    #[error("the store is full: {0}")]
    Full(String),
    /// Anything else; a fault.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(io) if is_full(io) => Self::Full(io.to_string()),
            // Out of descriptors, a disk that went read-only, a connection that broke; or that something in front of the database
            // accepted and closed, which reads as a wrong answer.
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.to_string()),
            sqlx::Error::Database(database) => {
                let message = database.message().to_owned();
                let code = database.code().unwrap_or_default();
                if database.try_downcast_ref::<SqliteError>().is_some() {
                    sqlite(&code, message)
                } else {
                    // The only other driver.
                    postgres(&code, message)
                }
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// SQLite's extended result codes: the primary one is in the low byte.
fn sqlite(code: &str, message: String) -> StoreError {
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    const FULL: u32 = 13;
    /// Out of permissions, memory, writable disk, or descriptors: what the machine may have again later.
    const PERM: u32 = 3;
    const NOMEM: u32 = 7;
    const READONLY: u32 = 8;
    const IOERR: u32 = 10;
    const CANTOPEN: u32 = 14;
    /// No room for the shared-memory file beside the database.
    const IOERR_SHMSIZE: u32 = 0x130a;
    let code: u32 = code.parse().unwrap_or(0);
    match code & 0xff {
        BUSY | LOCKED => StoreError::Unavailable(message),
        FULL => StoreError::Full(message),
        _ if code == IOERR_SHMSIZE => StoreError::Full(message),
        PERM | NOMEM | READONLY | IOERR | CANTOPEN => StoreError::Unavailable(message),
        _ => StoreError::Failed(message),
    }
}

/// SQLSTATE: two characters of class, three of condition.
fn postgres(code: &str, message: String) -> StoreError {
    match code {
        "53100" => StoreError::Full(message),
        // A standby that became the primary, a lock timeout, a statement timeout.
        "25006" | "55P03" | "57014" => StoreError::Unavailable(message),
        // Connection errors, insufficient resources, operator intervention, transaction rollback.
        _ if ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class)) => StoreError::Unavailable(message),
        _ => StoreError::Failed(message),
    }
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(this) = cause {
            if let Some(io) = this.downcast_ref::<io::Error>() {
                return Self::of_io(io, io.to_string());
            }
            cause = this.source();
        }
        match error {
            // Errors of the network or the service, where the client has retried already; or of the operator's making, and for
            // the operator to mend: jobs wait meanwhile.
            object_store::Error::Generic { store: "S3", source }
            | object_store::Error::PermissionDenied { source, .. }
            | object_store::Error::Unauthenticated { source, .. } => Self::Unavailable(source.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl StoreError {
    /// Of a file: no room, or anything else that may be mended while jobs wait (permissions, descriptors, a disk that went
    /// read-only).
    pub(super) fn of_io(error: &io::Error, message: String) -> Self {
        if is_full(error) { Self::Full(message) } else { Self::Unavailable(message) }
    }
}

/// Whether a disk, or a quota on it, has no room left.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
