//! Jobs and the outbox on either database: what the statements are for, and in which transactions they run.
//!
//! Invariant: what is given back to a quota is given back with the job's end, which comes once.

use async_trait::async_trait;
use sqlx::{Database, Encode, Executor, FromRow, IntoArguments, Transaction, Type};
use uuid::Uuid;

use super::dialect::{DAY, Dialect, SqlStore};
use super::rows::{
    self, BacklogRow, BytesRow, ClaimRow, DeliveryRow, HeldRow, IdRow, JobRow, KeptRow, NowRow, OutcomeColumns,
    QueuedRow, StateRow, SuspicionRow,
};
use super::spec;
use super::statements as sql;
use crate::domain::{Failure, JobState, Outcome};
use crate::records::Job;
use crate::store::error::StoreError;
use crate::store::jobs::{
    Announce, CancelOutcome, Idempotency, InsertOutcome, JobEnd, JobFilter, JobStore, Lease, NewDelivery, NewJob,
    QueuedJob, QuotaCharge, RecoveryPolicy, RecoveryReport,
};
use crate::store::upkeep::{Delivery, DeliveryQuery, Upkeep as _};

/// Jobs recovered in one transaction.
const RECOVERY_BATCH: i64 = 100;
/// Attempts at an idempotency key that other transactions insert and free meanwhile.
const KEY_RACES: u32 = 10;
/// Sorts after every id.
const AFTER_ALL: &str = "~";

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
    IdRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    HeldRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
{
    /// To be committed or rolled back explicitly: one that is dropped holds its locks until the pool rolls it back, and
    /// others would skip its rows.
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
        let spec = spec::write(&job.spec)?;
        let bytes = i64::try_from(spec.len()).unwrap_or(i64::MAX);
        let result = sqlx::query(sql::INSERT_JOB)
            .bind(job.id.to_string())
            .bind(job.owner.clone())
            .bind(job.mode.name().to_owned())
            .bind(job.model.clone())
            .bind(job.durable)
            .bind(i64::from(job.spec.priority.level()))
            .bind(i64::try_from(job.cost).unwrap_or(i64::MAX))
            .bind(spec)
            .bind(holder.map(|lease| lease.worker.clone()))
            .bind(holder.map(|lease| lease.until))
            .bind(job.created_at)
            .bind(key.map(|key| key.key.clone()))
            .bind(key.map(|key| key.fingerprint.clone()))
            .bind(new.charge.map_or(0, |charge| i64::from(charge.images)))
            .bind(bytes)
            .bind(job.yields)
            .execute(on)
            .await?;
        Ok(D::touched(&result) > 0)
    }

    /// Commit a transaction that has inserted a job, if its owner may have so many and the quota covers it. (At the end, since
    /// both make other jobs of the owner wait.)
    async fn commit_bounded(
        &self,
        mut tx: Transaction<'static, D::Db>,
        new: &NewJob<'_>,
    ) -> Result<InsertOutcome, StoreError> {
        if let Some(most) = new.most_jobs {
            if let Some(lock) = D::LOCK_OWNER {
                sqlx::query(lock).bind(new.job.owner.clone()).execute(&mut *tx).await?;
            }
            let held: HeldRow = sqlx::query_as(sql::HELD).bind(new.job.owner.clone()).fetch_one(&mut *tx).await?;
            if held.jobs > i64::from(most) {
                tx.rollback().await?;
                return Ok(InsertOutcome::OverJobs);
            }
        }
        if let Some(QuotaCharge { images, quota }) = new.charge {
            let covered = images <= quota && {
                let result = sqlx::query(sql::CHARGE)
                    .bind(new.job.owner.clone())
                    .bind(new.job.created_at / DAY)
                    .bind(i64::from(images))
                    .bind(i64::from(quota))
                    .execute(&mut *tx)
                    .await?;
                D::touched(&result) > 0
            };
            if !covered {
                tx.rollback().await?;
                return Ok(InsertOutcome::OverQuota);
            }
        }
        tx.commit().await?;
        Ok(InsertOutcome::New)
    }

    /// Give what a job was charged for back to its owner.
    async fn give_back(&self, tx: &mut Transaction<'static, D::Db>, job: &str) -> Result<(), StoreError> {
        sqlx::query(sql::GIVE_BACK).bind(job.to_owned()).execute(&mut **tx).await?;
        Ok(())
    }

    /// Whether a job has succeeded under this epoch already: its end was stored, and the answer was lost.
    async fn has_finished(&self, id: Uuid, epoch: i64) -> Result<bool, StoreError> {
        let row: Option<IdRow> =
            sqlx::query_as(sql::FINISHED).bind(id.to_string()).bind(epoch).fetch_optional(&self.writers).await?;
        Ok(row.is_some())
    }

    async fn insert_keyed(&self, new: &NewJob<'_>, idempotency: &Idempotency) -> Result<InsertOutcome, StoreError> {
        for _ in 0..KEY_RACES {
            let mut tx = self.begin().await?;
            let known: Option<JobRow> = sqlx::query_as(D::SELECT_KEYED)
                .bind(new.job.owner.clone())
                .bind(idempotency.key.clone())
                .fetch_optional(&mut *tx)
                .await?;
            if let Some(known) = known {
                if !known.is_given_up() {
                    tx.rollback().await?;
                    return if known.fingerprint.as_ref() == Some(&idempotency.fingerprint) {
                        Ok(InsertOutcome::Existing(Box::new(known.job()?)))
                    } else {
                        Ok(InsertOutcome::Conflict)
                    };
                }
                sqlx::query(sql::FREE_KEY).bind(known.id).execute(&mut *tx).await?;
            }
            if self.insert_row(&mut *tx, new).await? {
                return self.commit_bounded(tx, new).await;
            }
            // PostgreSQL: another transaction has just brought the same key; it is to be seen now.
            tx.rollback().await?;
        }
        Err(StoreError::Unavailable("an idempotency key is being claimed by other requests".to_owned()))
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
                .bind(host(&delivery.url))
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// Fail a job whose lease has ended. `None` if its row cannot be read: one such row must not keep the others from being
    /// recovered.
    async fn fail_lost(
        &self,
        tx: &mut Transaction<'static, D::Db>,
        row: JobRow,
        end: &LostEnd<'_>,
    ) -> Result<Option<Job>, StoreError> {
        let (finished_at, expires_at) = (end.policy.finished_at, end.policy.expires_at);
        sqlx::query(sql::FAIL_LOST)
            .bind(row.id.clone())
            .bind(Some(rows::write(end.failure)?))
            .bind(finished_at)
            .bind(expires_at)
            .execute(&mut **tx)
            .await?;
        self.give_back(tx, &row.id).await?;
        let id = row.id.clone();
        match row.job() {
            Ok(mut job) => {
                job.end(Outcome::Failed(end.failure.clone()), finished_at, expires_at);
                self.write_deliveries(tx, &id, &(end.announce)(&job, end.failure), finished_at).await?;
                Ok(Some(job))
            }
            Err(error) => {
                tracing::error!(job.id = id, %error, "a lost job cannot be read; it fails unannounced");
                Ok(None)
            }
        }
    }
}

/// The host and port of a URL, as it is written.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase()
}

/// How lost jobs fail.
struct LostEnd<'a> {
    failure: &'a Failure,
    policy: &'a RecoveryPolicy,
    announce: &'a Announce<'a>,
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
    SuspicionRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    IdRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    ClaimRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    KeptRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    BytesRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    BacklogRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    HeldRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    NowRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
{
    async fn insert_job(&self, new: NewJob<'_>) -> Result<InsertOutcome, StoreError> {
        if let Some(idempotency) = new.idempotency {
            return self.insert_keyed(&new, idempotency).await;
        }
        if new.charge.is_none() && new.most_jobs.is_none() {
            self.insert_row(&self.writers, &new).await?;
            return Ok(InsertOutcome::New);
        }
        let mut tx = self.begin().await?;
        self.insert_row(&mut *tx, &new).await?;
        self.commit_bounded(tx, &new).await
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

    async fn list_queued(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<QueuedJob>, StoreError> {
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

    async fn extend_leases(&self, lease: &Lease) -> Result<Vec<Uuid>, StoreError> {
        let rows: Vec<StateRow> = sqlx::query_as(sql::EXTEND_LEASES)
            .bind(lease.worker.clone())
            .bind(lease.until)
            .fetch_all(&self.writers)
            .await?;
        rows.iter().filter(|row| row.cancel_requested).map(|row| rows::id(&row.id)).collect()
    }

    async fn finish(&self, id: Uuid, epoch: i64, end: &JobEnd<'_>) -> Result<bool, StoreError> {
        let columns = OutcomeColumns::of(end.outcome)?;
        let finish = sqlx::query(sql::FINISH)
            .bind(id.to_string())
            .bind(epoch)
            .bind(columns.state.to_owned())
            .bind(columns.images)
            .bind(columns.timings)
            .bind(columns.failure)
            .bind(end.finished_at)
            .bind(end.expires_at);
        let succeeded = end.outcome.state() == JobState::Succeeded;
        if succeeded && end.deliveries.is_empty() {
            // One statement is a transaction.
            if D::touched(&finish.execute(&self.writers).await?) > 0 {
                return Ok(true);
            }
            return self.has_finished(id, epoch).await;
        }
        let mut tx = self.begin().await?;
        let result = finish.execute(&mut *tx).await?;
        if D::touched(&result) == 0 {
            tx.rollback().await?;
            return if succeeded { self.has_finished(id, epoch).await } else { Ok(false) };
        }
        if !succeeded {
            self.give_back(&mut tx, &id.to_string()).await?;
        }
        self.write_deliveries(&mut tx, &id.to_string(), end.deliveries, end.finished_at).await?;
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
    ) -> Result<CancelOutcome, StoreError> {
        let id = id.to_string();
        let mut tx = self.begin().await?;
        let row: Option<StateRow> = sqlx::query_as(D::SELECT_STATE).bind(id.clone()).fetch_optional(&mut *tx).await?;
        let outcome = match row.map(|row| row.state()).transpose()? {
            None => CancelOutcome::Unknown,
            Some(JobState::Queued) => {
                sqlx::query(sql::CANCEL_QUEUED).bind(id.clone()).bind(now).bind(expires_at).execute(&mut *tx).await?;
                self.give_back(&mut tx, &id).await?;
                self.write_deliveries(&mut tx, &id, deliveries, now).await?;
                CancelOutcome::Canceled
            }
            Some(JobState::Running) => {
                sqlx::query(sql::REQUEST_CANCEL).bind(id).execute(&mut *tx).await?;
                CancelOutcome::Requested
            }
            Some(ended) => CancelOutcome::Ended(ended),
        };
        tx.commit().await?;
        Ok(outcome)
    }

    async fn recover(
        &self,
        before: i64,
        policy: &RecoveryPolicy,
        announce: &Announce<'_>,
    ) -> Result<RecoveryReport, StoreError> {
        let mut report = RecoveryReport::default();
        let mut tx = self.begin().await?;
        let mut lost: Vec<JobRow> =
            sqlx::query_as(D::SELECT_LOST).bind(before).bind(RECOVERY_BATCH).fetch_all(&mut *tx).await?;
        if lost.is_empty() {
            tx.rollback().await?;
            return Ok(report);
        }
        // Quotas are given back in one order, so that two processes that do so never wait for each other.
        lost.sort_by(|a, b| (&a.owner, a.created_at).cmp(&(&b.owner, b.created_at)));
        for row in lost {
            let failure = if !row.durable {
                &policy.abandoned
            } else if policy.counts_losses && row.losses + 1 >= policy.most_losses {
                &policy.poisonous
            } else {
                sqlx::query(sql::RELEASE)
                    .bind(row.id)
                    .bind(row.epoch)
                    .bind(i64::from(policy.counts_losses))
                    .execute(&mut *tx)
                    .await?;
                report.requeued += 1;
                continue;
            };
            let end = LostEnd { failure, policy, announce };
            match self.fail_lost(&mut tx, row, &end).await? {
                Some(job) => report.failed.push(job),
                None => report.unreadable += 1,
            }
        }
        tx.commit().await?;
        Ok(report)
    }

    async fn delete(&self, id: Uuid) -> Result<Option<JobState>, StoreError> {
        let id = id.to_string();
        let mut tx = self.begin().await?;
        let row: Option<StateRow> = sqlx::query_as(D::SELECT_STATE).bind(id.clone()).fetch_optional(&mut *tx).await?;
        let state = row.map(|row| row.state()).transpose()?;
        if state.is_some_and(|state| !state.is_final()) {
            self.give_back(&mut tx, &id).await?;
        }
        sqlx::query(sql::DELETE).bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(state)
    }

    async fn list_expired(&self, now: i64, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        let rows: Vec<StateRow> =
            sqlx::query_as(sql::EXPIRED).bind(now).bind(i64::from(limit)).fetch_all(&self.readers).await?;
        rows.iter().map(|row| rows::id(&row.id)).collect()
    }

    async fn mark_purged(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for id in ids {
            sqlx::query(sql::PURGED).bind(id.to_string()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn delete_expired(&self, before: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(sql::FORGET_USAGE).bind(before / DAY).execute(&mut *tx).await?;
        let result = sqlx::query(sql::FORGET).bind(before).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(D::touched(&result))
    }

    async fn lease_due_deliveries(&self, now: i64, lease_until: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let query = DeliveryQuery { now, lease_until, limit, busy_hosts: &[], busy_owners: &[] };
        self.lease_deliveries(&query).await
    }

    async fn complete_delivery(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query(sql::DELIVERED).bind(id.to_owned()).execute(&self.writers).await?;
        Ok(())
    }

    async fn postpone_delivery(&self, id: &str, due_at: Option<i64>) -> Result<(), StoreError> {
        sqlx::query(sql::DELIVERY_FAILED).bind(id.to_owned()).bind(due_at).execute(&self.writers).await?;
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if let Some(file) = &self.file {
            file.check()?;
        }
        let _: Option<StateRow> = sqlx::query_as(sql::PING).fetch_optional(&self.readers).await?;
        Ok(())
    }
}
