//! The SQL that both databases run, word for word.
//!
//! Invariant: parameters are `$1`, `$2`, ... (SQLite takes them, too), and columns are named, so that a column that a later
//! version adds does not disturb a process that runs.

macro_rules! job_columns {
    () => {
        "id, owner, state, mode, model, durable, cost, yields, spec, epoch, losses, suspicion, cancel_requested, created_at, \
         started_at, finished_at, expires_at, images, timings, failure, fingerprint"
    };
}

macro_rules! key_columns {
    () => {
        "id, name, digest, scopes, rate, concurrency, daily_pictures, max_priority, moderation_policy, created_at, \
         expires_at, last_used_at, revoked_at"
    };
}

/// `$lock` is what PostgreSQL needs to hold the row; SQLite's transaction holds everything.
macro_rules! select_state {
    ($lock:literal) => {
        concat!("SELECT id, state, cancel_requested FROM jobs WHERE id = $1", $lock)
    };
}

macro_rules! select_keyed {
    ($lock:literal) => {
        concat!(
            "SELECT ",
            $crate::store::sql::statements::job_columns!(),
            " FROM jobs WHERE owner = $1 AND idempotency_key = $2",
            $lock
        )
    };
}

macro_rules! select_lost {
    ($lock:literal) => {
        concat!(
            "SELECT ",
            $crate::store::sql::statements::job_columns!(),
            " FROM jobs WHERE lease_until < $1 ORDER BY lease_until LIMIT $2",
            $lock
        )
    };
}

/// `$busy_hosts` and `$busy_owners` select the texts of the JSON arrays `$4` and `$5`.
macro_rules! lease_due {
    ($lock:literal, $busy_hosts:literal, $busy_owners:literal) => {
        concat!(
            // Materialised, since PostgreSQL may run a plain subquery more than once, and lock more rows each time.
            "WITH due AS MATERIALIZED \
             (SELECT id FROM deliveries WHERE due_at <= $1 AND host NOT IN (",
            $busy_hosts,
            ") AND owner NOT IN (",
            $busy_owners,
            ") ORDER BY created_at + attempts * 60000, id LIMIT $3",
            $lock,
            ") UPDATE deliveries SET due_at = $2, attempts = attempts + 1 WHERE id IN (SELECT id FROM due) \
             RETURNING id, job, url, payload, host, owner, attempts, created_at"
        )
    };
}

macro_rules! select_suspicion {
    ($lock:literal) => {
        concat!("SELECT suspicion FROM jobs WHERE id = $1 AND epoch = $2 AND state IN ('queued', 'running')", $lock)
    };
}

pub(super) use {job_columns, lease_due, select_keyed, select_lost, select_state, select_suspicion};

pub(super) const INSERT_JOB: &str = "INSERT INTO jobs (id, owner, state, mode, model, durable, priority, cost, spec, epoch, \
     worker, lease_until, cancel_requested, created_at, purged, images, idempotency_key, fingerprint, charged, bytes, yields) \
     VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, 0, $9, $10, FALSE, $11, FALSE, '[]', $12, $13, $14, $15, $16) \
     ON CONFLICT (owner, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING";

pub(super) const FREE_KEY: &str = "UPDATE jobs SET idempotency_key = NULL, fingerprint = NULL WHERE id = $1";

/// Not of a job that is canceled, or is about to be.
pub(super) const FIND_KEYED: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM jobs WHERE owner = $1 AND idempotency_key = $2 AND state <> 'canceled' \
     AND NOT (cancel_requested AND finished_at IS NULL)"
);

pub(super) const GET: &str = concat!("SELECT ", job_columns!(), " FROM jobs WHERE id = $1");

pub(super) const LIST: &str =
    concat!("SELECT ", job_columns!(), " FROM jobs WHERE owner = $1 AND id < $2 ORDER BY id DESC LIMIT $3");

pub(super) const LIST_STATE: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM jobs WHERE owner = $1 AND id < $2 AND state = $4 ORDER BY id DESC LIMIT $3"
);

pub(super) const LIST_ALL: &str =
    concat!("SELECT ", job_columns!(), " FROM jobs WHERE id < $1 ORDER BY id DESC LIMIT $2");

pub(super) const LIST_ALL_STATE: &str =
    concat!("SELECT ", job_columns!(), " FROM jobs WHERE id < $1 AND state = $3 ORDER BY id DESC LIMIT $2");

pub(super) const QUEUED: &str = "SELECT id, priority, yields, cost, created_at FROM jobs \
     WHERE state = 'queued' AND durable AND id > $1 ORDER BY id LIMIT $2";

pub(super) const CLAIM: &str = concat!(
    "UPDATE jobs SET state = 'running', epoch = epoch + 1, worker = $2, lease_until = $3, started_at = $4 \
     WHERE id = $1 AND state = 'queued' RETURNING ",
    job_columns!()
);

pub(super) const EXTEND_LEASES: &str = "UPDATE jobs SET lease_until = $2 WHERE worker = $1 AND lease_until IS NOT NULL \
     RETURNING id, state, cancel_requested";

/// `lease_until` is null in every job that has ended: lease extensions and recovery rely on it.
pub(super) const FINISH: &str = "UPDATE jobs SET state = $3, images = $4, timings = $5, failure = $6, finished_at = $7, \
     expires_at = $8, worker = NULL, lease_until = NULL WHERE id = $1 AND epoch = $2 AND state = 'running'";

/// A job that this claim has ended with success.
pub(super) const FINISHED: &str = "SELECT id FROM jobs WHERE id = $1 AND epoch = $2 AND state = 'succeeded'";

/// A cancellation request stays: the next claim carries it. A job that is not durable stays leased.
pub(super) const RELEASE: &str = "UPDATE jobs SET state = 'queued', started_at = NULL, losses = losses + $3, \
     worker = CASE WHEN durable THEN NULL ELSE worker END, \
     lease_until = CASE WHEN durable THEN NULL ELSE lease_until END \
     WHERE id = $1 AND epoch = $2 AND state = 'running'";

pub(super) const CANCEL_QUEUED: &str = "UPDATE jobs SET state = 'canceled', cancel_requested = TRUE, finished_at = $2, \
     expires_at = $3, worker = NULL, lease_until = NULL WHERE id = $1";

pub(super) const REQUEST_CANCEL: &str = "UPDATE jobs SET cancel_requested = TRUE WHERE id = $1";

pub(super) const FAIL_LOST: &str = "UPDATE jobs SET state = 'failed', failure = $2, finished_at = $3, expires_at = $4, \
     worker = NULL, lease_until = NULL WHERE id = $1";

pub(super) const DELETE: &str = "DELETE FROM jobs WHERE id = $1";

pub(super) const EXPIRED: &str = "SELECT id, state, cancel_requested FROM jobs \
     WHERE purged = FALSE AND expires_at < $1 ORDER BY expires_at LIMIT $2";

pub(super) const PURGED: &str = "UPDATE jobs SET purged = TRUE WHERE id = $1";

pub(super) const FORGET: &str = "DELETE FROM jobs WHERE purged = TRUE AND expires_at < $1";

pub(super) const INSERT_DELIVERY: &str = "INSERT INTO deliveries \
     (id, job, url, payload, attempts, created_at, due_at, host, owner) \
     VALUES ($1, $2, $3, $4, 0, $5, $5, $6, (SELECT owner FROM jobs WHERE id = $2))";

pub(super) const DELIVERED: &str = "DELETE FROM deliveries WHERE id = $1";

pub(super) const DELIVERY_FAILED: &str = "UPDATE deliveries SET due_at = $2 WHERE id = $1";

/// Touches nothing where it would exceed the quota. The first charge of a day is not compared: the caller does that.
pub(super) const CHARGE: &str = "INSERT INTO key_usage (key_id, day, pictures) VALUES ($1, $2, $3) \
     ON CONFLICT (key_id, day) DO UPDATE SET pictures = key_usage.pictures + excluded.pictures \
     WHERE key_usage.pictures + excluded.pictures <= $4";

/// To be run in the transaction of the job's end, which comes once.
pub(super) const GIVE_BACK: &str = "UPDATE key_usage \
     SET pictures = pictures - (SELECT charged FROM jobs WHERE id = $1) \
     WHERE (key_id, day) = (SELECT owner, created_at / 86400000 FROM jobs WHERE id = $1 AND charged > 0)";

pub(super) const FORGET_USAGE: &str = "DELETE FROM key_usage WHERE day < $1";

pub(super) const CHARGED: &str = "SELECT pictures FROM key_usage WHERE key_id = $1 AND day = $2";

pub(super) const INSERT_KEY: &str = concat!(
    "INSERT INTO api_keys (",
    key_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
);

pub(super) const FIND_KEY: &str = concat!("SELECT ", key_columns!(), " FROM api_keys WHERE id = $1");

pub(super) const LIST_KEYS: &str = concat!("SELECT ", key_columns!(), " FROM api_keys ORDER BY created_at, id");

pub(super) const REVOKE_KEY: &str = "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";

pub(super) const KEY_USED: &str =
    "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";

/// One that is full.
pub(super) const MAKE_BUCKET: &str =
    "INSERT INTO key_requests (key_id, full_at, granted) VALUES ($1, 0, 0) ON CONFLICT (key_id) DO NOTHING";

/// Reads the table, so that a database without its schema does not answer.
pub(super) const PING: &str = "SELECT id, state, cancel_requested FROM jobs LIMIT 1";

pub(super) const ACCUSE: &str = "UPDATE jobs SET suspicion = $2, losses = losses + 1 WHERE id = $1";

pub(super) const CLAIMS: &str = "SELECT id, epoch FROM jobs WHERE worker = $1 AND state = 'running'";

pub(super) const UNWANTED: &str = "SELECT jobs.id AS id FROM jobs JOIN api_keys ON api_keys.id = jobs.owner \
     WHERE api_keys.revoked_at IS NOT NULL AND NOT api_keys.keep_jobs \
     AND jobs.state IN ('queued', 'running') AND NOT jobs.cancel_requested ORDER BY jobs.id LIMIT $1";

pub(super) const KEPT: &str =
    "SELECT owner, COUNT(*) AS jobs, CAST(SUM(bytes) AS BIGINT) AS bytes FROM jobs GROUP BY owner";

pub(super) const EVICTABLE: &str = "SELECT id, bytes FROM jobs \
     WHERE owner = $1 AND state IN ('succeeded', 'failed', 'canceled') \
     ORDER BY CASE state WHEN 'succeeded' THEN 1 ELSE 0 END, id LIMIT $2";

pub(super) const FORGET_CANCELED: &str = "DELETE FROM jobs \
     WHERE purged = TRUE AND expires_at < $1 AND state = 'canceled' AND started_at IS NULL AND NOT EXISTS \
     (SELECT 1 FROM deliveries WHERE deliveries.job = jobs.id AND deliveries.due_at IS NOT NULL)";

/// By the indexes of what is queued and of what is leased.
pub(super) const BACKLOG: &str = "SELECT \
     (SELECT COUNT(*) FROM jobs WHERE state = 'queued') AS queued, \
     (SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM jobs WHERE state = 'queued') AS queued_cost, \
     (SELECT COUNT(*) FROM jobs WHERE lease_until IS NOT NULL AND state = 'running') AS running, \
     (SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM jobs WHERE lease_until IS NOT NULL AND state = 'running') \
     AS running_cost";

/// By the index of owners and states.
pub(super) const HELD: &str = "SELECT COUNT(*) AS jobs, CAST(COALESCE(SUM(cost), 0) AS BIGINT) AS cost FROM jobs \
     WHERE owner = $1 AND state IN ('queued', 'running')";

pub(super) const OLDEST: &str = "SELECT id FROM jobs ORDER BY id LIMIT 1";

pub(super) const KEEP_JOBS: &str = "UPDATE api_keys SET keep_jobs = TRUE WHERE id = $1";
