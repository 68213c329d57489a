//! Where jobs, keys and image files are kept: three traits, and what implements them.
//!
//! Invariants: what a method reports as done is on disk; a job's end is accepted once, and only under the newest epoch; what
//! is to be announced is written in the transaction of the state that it announces. The same contract holds on SQLite and
//! PostgreSQL, and one suite of tests checks it on both.

mod blobs;
mod database;
mod error;
mod jobs;
mod keys;
#[cfg_attr(not(feature = "s3"), path = "store/s3_missing.rs")]
mod s3;
mod sql;
mod upkeep;

pub use blobs::{BlobStore, S3Config, open_local};
pub use database::Database;
pub use error::StoreError;
pub use jobs::{
    Announce, CancelOutcome, Idempotency, InsertOutcome, JobEnd, JobFilter, JobStore, Lease, NewDelivery, NewJob,
    QueuedJob, QuotaCharge, RecoveryPolicy, RecoveryReport,
};
pub use keys::{KeyStore, RequestCounter, RequestGrant};
pub use s3::open_s3;
pub use sql::{
    AppliedMigration, SqliteOptions, migrate_postgres, migrate_sqlite, open_postgres, open_sqlite, open_sqlite_beside,
    open_sqlite_with,
};
pub use upkeep::{Backlog, Delivery, DeliveryQuery, KeptJobs, Suspect, Upkeep};
