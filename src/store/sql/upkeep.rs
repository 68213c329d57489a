//! Upkeep on either database.
//!
//! Invariant: a method is one statement or one transaction.

use async_trait::async_trait;
use sqlx::{Database, Encode, Executor, FromRow, IntoArguments, Type};
use uuid::Uuid;

use super::dialect::{Dialect, SqlStore};
use super::rows::{self, BacklogRow, BytesRow, ClaimRow, DeliveryRow, HeldRow, IdRow, KeptRow, NowRow, SuspicionRow};
use super::statements as sql;
use crate::records::Suspicion;
use crate::store::error::StoreError;
use crate::store::upkeep::{Backlog, Delivery, DeliveryQuery, KeptJobs, Suspect, Upkeep};

#[async_trait]
impl<D> Upkeep for SqlStore<D>
where
    D: Dialect,
    for<'c> &'c mut <D::Db as Database>::Connection: Executor<'c, Database = D::Db>,
    <D::Db as Database>::Arguments: IntoArguments<D::Db>,
    i64: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    String: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    SuspicionRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    IdRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    ClaimRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    KeptRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    BytesRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    BacklogRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    HeldRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    NowRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    DeliveryRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
{
    async fn note_suspects(&self, suspects: &[Suspect]) -> Result<(), StoreError> {
        // In one order, so that two processes that do so never wait for each other.
        let mut suspects: Vec<&Suspect> = suspects.iter().collect();
        suspects.sort_by_key(|suspect| suspect.job);
        let mut tx = self.writers.begin_with(D::BEGIN).await?;
        for suspect in suspects {
            let id = suspect.job.to_string();
            let row: Option<SuspicionRow> = sqlx::query_as(D::SELECT_SUSPICION)
                .bind(id.clone())
                .bind(suspect.epoch)
                .fetch_optional(&mut *tx)
                .await?;
            let Some(row) = row else { continue };
            // One that cannot be read says nothing.
            let before = row.suspicion().unwrap_or_default();
            let after = Suspicion::after_death(before.clone(), suspect.epoch, &suspect.place, suspect.alone);
            if before.as_ref() == Some(&after) {
                // It was told before.
                continue;
            }
            sqlx::query(sql::ACCUSE).bind(id).bind(rows::write(&after)?).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn list_claims(&self, worker: &str) -> Result<Vec<(Uuid, i64)>, StoreError> {
        let rows: Vec<ClaimRow> = sqlx::query_as(sql::CLAIMS).bind(worker.to_owned()).fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((rows::id(&row.id)?, row.epoch))).collect()
    }

    async fn lease_deliveries(&self, query: &DeliveryQuery<'_>) -> Result<Vec<Delivery>, StoreError> {
        let mut rows: Vec<DeliveryRow> = sqlx::query_as(D::LEASE_DUE)
            .bind(query.now)
            .bind(query.lease_until)
            .bind(i64::from(query.limit))
            .bind(rows::write(query.busy_hosts)?)
            .bind(rows::write(query.busy_owners)?)
            .fetch_all(&self.writers)
            .await?;
        rows.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        rows.into_iter().map(DeliveryRow::delivery).collect()
    }

    async fn list_unwanted(&self, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        let rows: Vec<IdRow> = sqlx::query_as(sql::UNWANTED).bind(i64::from(limit)).fetch_all(&self.readers).await?;
        rows.iter().map(|row| rows::id(&row.id)).collect()
    }

    async fn list_kept(&self) -> Result<Vec<KeptJobs>, StoreError> {
        let rows: Vec<KeptRow> = sqlx::query_as(sql::KEPT).fetch_all(&self.readers).await?;
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        let kept = |row: KeptRow| KeptJobs { owner: row.owner, jobs: count(row.jobs), bytes: count(row.bytes) };
        Ok(rows.into_iter().map(kept).collect())
    }

    async fn list_evictable(&self, owner: &str, limit: u32) -> Result<Vec<(Uuid, u64)>, StoreError> {
        let rows: Vec<BytesRow> = sqlx::query_as(sql::EVICTABLE)
            .bind(owner.to_owned())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok((rows::id(&row.id)?, u64::try_from(row.bytes).unwrap_or(0)))).collect()
    }

    async fn forget_canceled(&self, now: i64) -> Result<u64, StoreError> {
        let result = sqlx::query(sql::FORGET_CANCELED).bind(now).execute(&self.writers).await?;
        Ok(D::touched(&result))
    }

    async fn free_key(&self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query(sql::FREE_KEY).bind(id.to_string()).execute(&self.writers).await?;
        Ok(())
    }

    async fn list_unknown(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        let rows: Vec<IdRow> =
            sqlx::query_as(D::LIST_UNKNOWN).bind(rows::write(&ids)?).fetch_all(&self.readers).await?;
        rows.iter().map(|row| rows::id(&row.id)).collect()
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let row: BacklogRow = sqlx::query_as(sql::BACKLOG).fetch_one(&self.readers).await?;
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        let (queued, queued_cost) = (count(row.queued), count(row.queued_cost));
        Ok(Backlog { queued, queued_cost, running: count(row.running), running_cost: count(row.running_cost) })
    }

    async fn held_by(&self, owner: &str) -> Result<(u64, u64), StoreError> {
        let row: HeldRow = sqlx::query_as(sql::HELD).bind(owner.to_owned()).fetch_one(&self.readers).await?;
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        Ok((count(row.jobs), count(row.cost)))
    }

    async fn now_us(&self) -> Result<i64, StoreError> {
        let row: NowRow = sqlx::query_as(D::NOW).fetch_one(&self.readers).await?;
        Ok(row.now)
    }

    async fn oldest_job(&self) -> Result<Option<Uuid>, StoreError> {
        let row: Option<IdRow> = sqlx::query_as(sql::OLDEST).fetch_optional(&self.readers).await?;
        row.map(|row| rows::id(&row.id)).transpose()
    }

    async fn make_room(&self) -> bool {
        if let Err(error) = self.scrub().await {
            tracing::debug!(%error, "the log of the database cannot be emptied");
        }
        self.file.as_ref().is_some_and(super::file::DatabaseFile::release_reserve)
    }

    async fn restore_room(&self) -> Result<(), StoreError> {
        self.file.as_ref().map_or(Ok(()), super::file::DatabaseFile::restore_reserve)
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        if let Some(checkpoint) = D::CHECKPOINT {
            sqlx::query(checkpoint).execute(&self.writers).await?;
        }
        Ok(())
    }
}
