//! Where the two databases differ, and the store that is generic over it.

use sqlx::{Database, Pool};

use super::file::DatabaseFile;

/// ms
pub(super) const DAY: i64 = 86_400_000;

/// A database's own SQL.
pub(super) trait Dialect: Send + Sync + 'static {
    type Db: Database;
    /// Begins a transaction that is going to write.
    const BEGIN: &'static str;
    const SELECT_STATE: &'static str;
    const SELECT_KEYED: &'static str;
    const SELECT_LOST: &'static str;
    const LEASE_DUE: &'static str;
    const SELECT_SUSPICION: &'static str;
    /// Lets one transaction at a time count the jobs of the owner `$1`; where transactions that write are not one at a time.
    const LOCK_OWNER: Option<&'static str>;
    /// Those texts of the JSON array `$1` that are no job's id, as `id`.
    const LIST_UNKNOWN: &'static str;
    /// The database's clock, µs since 1970, as `now`.
    const NOW: &'static str;
    /// Takes at most `$3` requests from the bucket of the key `$1` after `$4` that are owed, where a request takes `$2` ns to be
    /// refilled: `granted`, and in how many ns there is one more, as `wait`. No row: the key has no bucket yet. `None`: the
    /// processes count.
    const TAKE_REQUESTS: Option<&'static str>;
    /// Moves what was committed, and deleted, into the database file; where there is something to move.
    const CHECKPOINT: Option<&'static str>;

    /// Rows that a statement touched.
    fn touched(result: &<Self::Db as Database>::QueryResult) -> u64;
}

/// A store on a database.
pub(super) struct SqlStore<D: Dialect> {
    pub(super) readers: Pool<D::Db>,
    /// May be the readers' pool.
    pub(super) writers: Pool<D::Db>,
    /// Held as long as the store lives, and dropped after the pools.
    pub(super) file: Option<DatabaseFile>,
}
