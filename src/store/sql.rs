//! The store on either database: what the statements are for, and in which transactions they run.
//!
//! Invariant: a method is one statement or one transaction, so a caller that goes away half-way leaves nothing half done.

use async_trait::async_trait;
use sqlx::{Database, Encode, Executor, FromRow, IntoArguments, Pool, Transaction, Type};
use uuid::Uuid;

use super::rows::{self, DeliveryRow, End, JobRow, QueuedRow, StateRow};
use super::{Announce, Canceling, Charge, Delivery, Idempotency, Inserted, JobFilter, JobStore, Lease, NewDelivery};
use super::{NewJob, QueuedJob, Recovery, StoreError, statements as sql};
use crate::domain::{Failure, JobState, Outcome};
use crate::records::Job;

/// Lost jobs taken up in one transaction.
const RECOVERY_BATCH: i64 = 100;
/// Times that a key may be taken and given up by others while we look.
const KEY_RACES: u32 = 10;
/// ms
pub(super) const DAY: i64 = 86_400_000;
/// Sorts after every id.
const AFTER_ALL: &str = "~";

/// Where the two databases differ.
pub(super) trait Dialect: Send + Sync + 'static {
    type Db: Database;
    /// Begins a transaction that is going to write.
    const BEGIN: &'static str;
    const SELECT_STATE: &'static str;
    const SELECT_KEYED: &'static str;
    const SELECT_LOST: &'static str;
    const LEASE_DUE: &'static str;

    /// Rows that a statement touched.
    fn touched(result: &<Self::Db as Database>::QueryResult) -> u64;
}

/// A store on a database.
pub(super) struct SqlStore<D: Dialect> {
    pub readers: Pool<D::Db>,
    /// May be the readers' pool.
    pub writers: Pool<D::Db>,
    /// Held as long as the store lives, and dropped after the pools.
    pub _guard: Option<std::fs::File>,
}

// Rust does not imply such bounds from a trait's own, hence the long lists: what is bound, and what rows hold.
impl<D> SqlStore<D>
where
    D: Dialect,
    for<'c> &'c mut <D::Db as Database>::Connection: Executor<'c, Database = D::Db>,
    <D::Db as Database>::Arguments: IntoArguments<D::Db>,
    bool: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    i64: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    String: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    Option<i64>: for<'q> Encode<'q, D::Db>,
    Option<String>: for<'q> Encode<'q, D::Db>,
    JobRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    StateRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    QueuedRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    DeliveryRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
{
    /// To be committed or rolled back in so many words: one that is merely dropped holds its locks until the pool gets
    /// round to it, and others would skip its rows.
    async fn begin(&self) -> Result<Transaction<'static, D::Db>, StoreError> {
        Ok(self.writers.begin_with(D::BEGIN).await?)
    }

    /// The new row, unless its key is taken.
    async fn insert_row<'e, E>(&self, on: E, new: &NewJob<'_>) -> Result<bool, StoreError>
    where
        E: Executor<'e, Database = D::Db>,
    {
        let (job, key) = (new.job, new.idempotency);
        let holder = new.holder.filter(|_| !job.durable);
        let result = sqlx::query(sql::INSERT_JOB)
            .bind(job.id.to_string())
            .bind(job.owner.clone())
            .bind(job.mode.name().to_owned())
            .bind(job.model.clone())
            .bind(job.durable)
            .bind(i64::from(job.spec.priority.level()))
            .bind(i64::try_from(job.cost).unwrap_or(i64::MAX))
            .bind(rows::write(&job.spec)?)
            .bind(holder.map(|lease| lease.worker.clone()))
            .bind(holder.map(|lease| lease.until))
            .bind(job.created_at)
            .bind(key.map(|key| key.key.clone()))
            .bind(key.map(|key| key.fingerprint.clone()))
            .bind(new.charge.map_or(0, |charge| i64::from(charge.pictures)))
            .execute(on)
            .await?;
        Ok(D::touched(&result) > 0)
    }

    /// Commit a transaction that has inserted a job, if its owner's quota covers it. (At the end, since whoever charges holds
    /// up the owner's other jobs.)
    async fn commit_charged(
        &self,
        mut tx: Transaction<'static, D::Db>,
        new: &NewJob<'_>,
    ) -> Result<Inserted, StoreError> {
        if let Some(Charge { pictures, quota }) = new.charge {
            let covered = pictures <= quota && {
                let result = sqlx::query(sql::CHARGE)
                    .bind(new.job.owner.clone())
                    .bind(new.job.created_at / DAY)
                    .bind(i64::from(pictures))
                    .bind(i64::from(quota))
                    .execute(&mut *tx)
                    .await?;
                D::touched(&result) > 0
            };
            if !covered {
                tx.rollback().await?;
                return Ok(Inserted::OverQuota);
            }
        }
        tx.commit().await?;
        Ok(Inserted::New)
    }

    /// Give what a job was charged for back to its owner.
    async fn give_back(&self, tx: &mut Transaction<'static, D::Db>, job: &str) -> Result<(), StoreError> {
        sqlx::query(sql::GIVE_BACK).bind(job.to_owned()).execute(&mut **tx).await?;
        Ok(())
    }

    async fn insert_keyed(&self, new: &NewJob<'_>, idempotency: &Idempotency) -> Result<Inserted, StoreError> {
        for _ in 0..KEY_RACES {
            let mut tx = self.begin().await?;
            let known: Option<JobRow> = sqlx::query_as(D::SELECT_KEYED)
                .bind(new.job.owner.clone())
                .bind(idempotency.key.clone())
                .fetch_optional(&mut *tx)
                .await?;
            if let Some(known) = known {
                if known.state != JobState::Canceled.name() {
                    tx.rollback().await?;
                    return if known.fingerprint.as_ref() == Some(&idempotency.fingerprint) {
                        Ok(Inserted::Existing(Box::new(known.job()?)))
                    } else {
                        Ok(Inserted::Conflict)
                    };
                }
                sqlx::query(sql::FREE_KEY).bind(known.id).execute(&mut *tx).await?;
            }
            if self.insert_row(&mut *tx, new).await? {
                return self.commit_charged(tx, new).await;
            }
            // PostgreSQL: another transaction has just brought the same key; it is to be seen now.
            tx.rollback().await?;
        }
        Err(StoreError::Unavailable("an idempotency key changes hands all the time".to_owned()))
    }

    async fn write_deliveries(
        &self,
        tx: &mut Transaction<'static, D::Db>,
        job: &str,
        deliveries: &[NewDelivery],
        now: i64,
    ) -> Result<(), StoreError> {
        for delivery in deliveries {
            sqlx::query(sql::INSERT_DELIVERY)
                .bind(delivery.id.clone())
                .bind(job.to_owned())
                .bind(delivery.url.clone())
                .bind(delivery.payload.clone())
                .bind(now)
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    async fn fail_lost(
        &self,
        tx: &mut Transaction<'static, D::Db>,
        row: JobRow,
        failure: &Failure,
        now: i64,
        recovery: &Recovery,
        announce: &Announce,
    ) -> Result<(), StoreError> {
        sqlx::query(sql::FAIL_LOST)
            .bind(row.id.clone())
            .bind(Some(rows::write(failure)?))
            .bind(now)
            .bind(recovery.expires_at)
            .execute(&mut **tx)
            .await?;
        self.give_back(tx, &row.id).await?;
        let id = row.id.clone();
        match row.job() {
            Ok(mut job) => {
                job.state = JobState::Failed;
                job.failure = Some(failure.clone());
                job.finished_at = Some(now);
                job.expires_at = Some(recovery.expires_at);
                self.write_deliveries(tx, &id, &announce(&job, failure), now).await
            }
            // One row that cannot be read must not keep the others from being taken up.
            Err(error) => {
                tracing::error!(job.id = id, error = %error, "lost job cannot be read; it fails unannounced");
                Ok(())
            }
        }
    }
}

#[async_trait]
impl<D> JobStore for SqlStore<D>
where
    D: Dialect,
    for<'c> &'c mut <D::Db as Database>::Connection: Executor<'c, Database = D::Db>,
    <D::Db as Database>::Arguments: IntoArguments<D::Db>,
    bool: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    i64: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    String: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    Option<i64>: for<'q> Encode<'q, D::Db>,
    Option<String>: for<'q> Encode<'q, D::Db>,
    JobRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    StateRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    QueuedRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    DeliveryRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
{
    async fn accept(&self, new: NewJob<'_>) -> Result<Inserted, StoreError> {
        if let Some(idempotency) = new.idempotency {
            return self.insert_keyed(&new, idempotency).await;
        }
        if new.charge.is_none() {
            self.insert_row(&self.writers, &new).await?;
            return Ok(Inserted::New);
        }
        let mut tx = self.begin().await?;
        self.insert_row(&mut *tx, &new).await?;
        self.commit_charged(tx, &new).await
    }

    async fn find_idempotent(&self, owner: &str, key: &str) -> Result<Option<(Job, String)>, StoreError> {
        let row: Option<JobRow> = sqlx::query_as(sql::FIND_KEYED)
            .bind(owner.to_owned())
            .bind(key.to_owned())
            .fetch_optional(&self.readers)
            .await?;
        let Some(mut row) = row else { return Ok(None) };
        let fingerprint = row.fingerprint.take().unwrap_or_default();
        Ok(Some((row.job()?, fingerprint)))
    }

    async fn get(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        let row: Option<JobRow> = sqlx::query_as(sql::GET).bind(id.to_string()).fetch_optional(&self.readers).await?;
        row.map(JobRow::job).transpose()
    }

    async fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        let before = filter.before.map_or_else(|| AFTER_ALL.to_owned(), |id| id.to_string());
        let mut query = sqlx::query_as(match (&filter.owner, filter.state) {
            (Some(_), Some(_)) => sql::LIST_STATE,
            (Some(_), None) => sql::LIST,
            (None, Some(_)) => sql::LIST_ALL_STATE,
            (None, None) => sql::LIST_ALL,
        });
        if let Some(owner) = &filter.owner {
            query = query.bind(owner.clone());
        }
        query = query.bind(before).bind(i64::from(filter.limit));
        if let Some(state) = filter.state {
            query = query.bind(state.name().to_owned());
        }
        let rows: Vec<JobRow> = query.fetch_all(&self.readers).await?;
        rows.into_iter().map(JobRow::job).collect()
    }

    async fn queued(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<QueuedJob>, StoreError> {
        let rows: Vec<QueuedRow> = sqlx::query_as(sql::QUEUED)
            .bind(after.map(|id| id.to_string()).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(QueuedRow::job).collect()
    }

    async fn claim(&self, id: Uuid, lease: &Lease, now: i64) -> Result<Option<Job>, StoreError> {
        // All rows, though there is one at most: SQLite commits when it has been asked for the row after the last.
        let rows: Vec<JobRow> = sqlx::query_as(sql::CLAIM)
            .bind(id.to_string())
            .bind(lease.worker.clone())
            .bind(lease.until)
            .bind(now)
            .fetch_all(&self.writers)
            .await?;
        rows.into_iter().next().map(JobRow::job).transpose()
    }

    async fn heartbeat(&self, lease: &Lease) -> Result<Vec<Uuid>, StoreError> {
        let rows: Vec<StateRow> = sqlx::query_as(sql::HEARTBEAT)
            .bind(lease.worker.clone())
            .bind(lease.until)
            .fetch_all(&self.writers)
            .await?;
        rows.iter().filter(|row| row.cancel_requested).map(|row| rows::id(&row.id)).collect()
    }

    async fn finish(
        &self,
        id: Uuid,
        epoch: i64,
        outcome: &Outcome,
        deliveries: &[NewDelivery],
        now: i64,
        expires_at: i64,
    ) -> Result<bool, StoreError> {
        let end = End::of(outcome)?;
        let mut tx = self.begin().await?;
        let result = sqlx::query(sql::FINISH)
            .bind(id.to_string())
            .bind(epoch)
            .bind(end.state.to_owned())
            .bind(end.images)
            .bind(end.timings)
            .bind(end.failure)
            .bind(now)
            .bind(expires_at)
            .execute(&mut *tx)
            .await?;
        if D::touched(&result) == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        if outcome.state() != JobState::Succeeded {
            self.give_back(&mut tx, &id.to_string()).await?;
        }
        self.write_deliveries(&mut tx, &id.to_string(), deliveries, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn release(&self, id: Uuid, epoch: i64, lost: bool) -> Result<bool, StoreError> {
        let release = sqlx::query(sql::RELEASE).bind(id.to_string()).bind(epoch).bind(i64::from(lost));
        let result = release.execute(&self.writers).await?;
        Ok(D::touched(&result) > 0)
    }

    async fn cancel(
        &self,
        id: Uuid,
        deliveries: &[NewDelivery],
        now: i64,
        expires_at: i64,
    ) -> Result<Canceling, StoreError> {
        let id = id.to_string();
        let mut tx = self.begin().await?;
        let row: Option<StateRow> = sqlx::query_as(D::SELECT_STATE).bind(id.clone()).fetch_optional(&mut *tx).await?;
        let canceling = match row.map(|row| row.state()).transpose()? {
            None => Canceling::Unknown,
            Some(JobState::Queued) => {
                sqlx::query(sql::CANCEL_QUEUED).bind(id.clone()).bind(now).bind(expires_at).execute(&mut *tx).await?;
                self.give_back(&mut tx, &id).await?;
                self.write_deliveries(&mut tx, &id, deliveries, now).await?;
                Canceling::Canceled
            }
            Some(JobState::Running) => {
                sqlx::query(sql::REQUEST_CANCEL).bind(id).execute(&mut *tx).await?;
                Canceling::Requested
            }
            Some(ended) => Canceling::Ended(ended),
        };
        tx.commit().await?;
        Ok(canceling)
    }

    async fn recover(&self, now: i64, recovery: &Recovery, announce: &Announce) -> Result<u64, StoreError> {
        let mut touched = 0;
        loop {
            let mut tx = self.begin().await?;
            let mut lost: Vec<JobRow> =
                sqlx::query_as(D::SELECT_LOST).bind(now).bind(RECOVERY_BATCH).fetch_all(&mut *tx).await?;
            if lost.is_empty() {
                tx.rollback().await?;
                return Ok(touched);
            }
            touched += lost.len() as u64;
            // What is given back is given back in one order, so that two who do so never wait for each other.
            lost.sort_by(|a, b| (&a.owner, a.created_at).cmp(&(&b.owner, b.created_at)));
            for row in lost {
                if !row.durable {
                    self.fail_lost(&mut tx, row, &recovery.abandoned, now, recovery, announce).await?;
                } else if row.losses + 1 >= recovery.most_losses {
                    self.fail_lost(&mut tx, row, &recovery.poisonous, now, recovery, announce).await?;
                } else {
                    sqlx::query(sql::RELEASE).bind(row.id).bind(row.epoch).bind(1_i64).execute(&mut *tx).await?;
                }
            }
            tx.commit().await?;
        }
    }

    async fn delete(&self, id: Uuid) -> Result<bool, StoreError> {
        let id = id.to_string();
        let mut tx = self.begin().await?;
        let row: Option<StateRow> = sqlx::query_as(D::SELECT_STATE).bind(id.clone()).fetch_optional(&mut *tx).await?;
        if let Some(row) = &row
            && !row.state()?.is_final()
        {
            self.give_back(&mut tx, &id).await?;
        }
        sqlx::query(sql::DELETE).bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(row.is_some())
    }

    async fn expired(&self, now: i64, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        let rows: Vec<StateRow> =
            sqlx::query_as(sql::EXPIRED).bind(now).bind(i64::from(limit)).fetch_all(&self.readers).await?;
        rows.iter().map(|row| rows::id(&row.id)).collect()
    }

    async fn purged(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for id in ids {
            sqlx::query(sql::PURGED).bind(id.to_string()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn forget(&self, before: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(sql::FORGET_USAGE).bind(before / DAY).execute(&mut *tx).await?;
        let result = sqlx::query(sql::FORGET).bind(before).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(D::touched(&result))
    }

    async fn due_deliveries(&self, now: i64, lease_until: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let mut rows: Vec<DeliveryRow> = sqlx::query_as(D::LEASE_DUE)
            .bind(now)
            .bind(lease_until)
            .bind(i64::from(limit))
            .fetch_all(&self.writers)
            .await?;
        rows.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        rows.into_iter().map(DeliveryRow::delivery).collect()
    }

    async fn delivered(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query(sql::DELIVERED).bind(id.to_owned()).execute(&self.writers).await?;
        Ok(())
    }

    async fn delivery_failed(&self, id: &str, due_at: Option<i64>) -> Result<(), StoreError> {
        sqlx::query(sql::DELIVERY_FAILED).bind(id.to_owned()).bind(due_at).execute(&self.writers).await?;
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let _: Option<StateRow> = sqlx::query_as(sql::PING).fetch_optional(&self.readers).await?;
        Ok(())
    }
}
