//! API keys on either database.
//!
//! Invariant: a method is one statement; the first request of a key takes three.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Database, Encode, Executor, FromRow, IntoArguments, Type};

use super::dialect::{DAY, Dialect, SqlStore};
use super::rows::{GrantRow, KeyRow, UsageRow, write_digest};
use super::statements as sql;
use crate::records::{ApiKey, KeyDigest};
use crate::store::error::StoreError;
use crate::store::keys::{KeyStore, RequestCounter, RequestGrant};

/// ns in which a bucket is refilled.
const MINUTE: i64 = 60_000_000_000;

#[async_trait]
impl<D> RequestCounter for SqlStore<D>
where
    D: Dialect,
    for<'c> &'c mut <D::Db as Database>::Connection: Executor<'c, Database = D::Db>,
    <D::Db as Database>::Arguments: IntoArguments<D::Db>,
    i64: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    String: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    GrantRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
{
    fn counts_requests(&self) -> bool {
        D::TAKE_REQUESTS.is_some()
    }

    async fn take_requests(&self, id: &str, rate: u32, wanted: u32, owed: u32) -> Result<RequestGrant, StoreError> {
        let Some(statement) = D::TAKE_REQUESTS else {
            return Err(StoreError::Failed("requests are counted by the process".to_owned()));
        };
        loop {
            let row: Option<GrantRow> = sqlx::query_as(statement)
                .bind(id.to_owned())
                .bind(MINUTE / i64::from(rate.max(1)))
                .bind(i64::from(wanted))
                .bind(i64::from(owed))
                .fetch_optional(&self.writers)
                .await?;
            if let Some(row) = row {
                let granted = u32::try_from(row.granted).unwrap_or(0);
                let retry_after = Duration::from_nanos(u64::try_from(row.wait).unwrap_or(0));
                return Ok(RequestGrant { granted, retry_after });
            }
            sqlx::query(sql::MAKE_BUCKET).bind(id.to_owned()).execute(&self.writers).await?;
        }
    }
}

#[async_trait]
impl<D> KeyStore for SqlStore<D>
where
    D: Dialect,
    for<'c> &'c mut <D::Db as Database>::Connection: Executor<'c, Database = D::Db>,
    <D::Db as Database>::Arguments: IntoArguments<D::Db>,
    i64: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    String: Type<D::Db> + for<'q> Encode<'q, D::Db>,
    Option<i64>: for<'q> Encode<'q, D::Db>,
    Option<String>: for<'q> Encode<'q, D::Db>,
    KeyRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    UsageRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
    GrantRow: for<'r> FromRow<'r, <D::Db as Database>::Row>,
{
    async fn insert_key(&self, key: &ApiKey, digest: &KeyDigest) -> Result<(), StoreError> {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
        sqlx::query(sql::INSERT_KEY)
            .bind(key.id.clone())
            .bind(key.name.clone())
            .bind(write_digest(digest))
            .bind(scopes.join(" "))
            .bind(key.limits.rate.map(i64::from))
            .bind(key.limits.concurrency.map(i64::from))
            .bind(key.limits.daily_images.map(i64::from))
            .bind(key.limits.max_priority.name().to_owned())
            .bind(key.moderation_policy.clone())
            .bind(key.created_at)
            .bind(key.expires_at)
            .bind(key.last_used_at)
            .bind(key.revoked_at)
            .execute(&self.writers)
            .await?;
        Ok(())
    }

    async fn find_key(&self, id: &str) -> Result<Option<(ApiKey, KeyDigest)>, StoreError> {
        let row: Option<KeyRow> =
            sqlx::query_as(sql::FIND_KEY).bind(id.to_owned()).fetch_optional(&self.readers).await?;
        row.map(KeyRow::key).transpose()
    }

    async fn list_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows: Vec<KeyRow> = sqlx::query_as(sql::LIST_KEYS).fetch_all(&self.readers).await?;
        rows.into_iter().map(|row| row.key().map(|(key, _)| key)).collect()
    }

    async fn revoke_key(&self, id: &str, now: i64) -> Result<bool, StoreError> {
        let result = sqlx::query(sql::REVOKE_KEY).bind(id.to_owned()).bind(now).execute(&self.writers).await?;
        Ok(D::touched(&result) > 0)
    }

    async fn keep_jobs(&self, id: &str) -> Result<bool, StoreError> {
        let result = sqlx::query(sql::KEEP_JOBS).bind(id.to_owned()).execute(&self.writers).await?;
        Ok(D::touched(&result) > 0)
    }

    async fn record_key_use(&self, id: &str, now: i64) -> Result<(), StoreError> {
        sqlx::query(sql::KEY_USED).bind(id.to_owned()).bind(now).execute(&self.writers).await?;
        Ok(())
    }

    async fn images_charged(&self, id: &str, at: i64) -> Result<u64, StoreError> {
        let row: Option<UsageRow> =
            sqlx::query_as(sql::CHARGED).bind(id.to_owned()).bind(at / DAY).fetch_optional(&self.readers).await?;
        Ok(row.map_or(0, |row| u64::try_from(row.pictures).unwrap_or(0)))
    }
}
