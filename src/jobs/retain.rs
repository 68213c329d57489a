//! Retention: files of expired jobs are deleted, and some time later the jobs themselves; so is what belongs to no job, and
//! what is more than an owner may have kept.
//!
//! Invariant: nothing is deleted before the service has run for a while: a clock that was wrong at the start is right then.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::state::State;
use crate::store::{KeptJobs, StoreError};

/// Jobs purged at once.
const PAGE: u32 = 100;
/// The first sweep comes after this long at the latest.
const LONGEST_START: Duration = Duration::from_mins(1);
/// How often folders are compared with jobs.
const ORPHAN_INTERVAL: Duration = Duration::from_hours(1);
/// A job's files may be there so long before the job is, ms.
const YOUNG_MS: i64 = 600_000;
/// Deletions are gathered for so long before the database's log is emptied.
const SCRUB_DELAY: Duration = Duration::from_millis(500);

/// Sweep until the service closes.
pub(super) async fn delete_expired(state: Arc<State>) {
    let interval = state.config.clean_interval;
    let mut pause = interval.min(LONGEST_START);
    let mut orphans_checked: Option<Instant> = None;
    loop {
        tokio::select! {
            () = state.closed.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = interval;
        if let Err(error) = sweep(&state).await {
            tracing::warn!(%error, "expired jobs cannot be deleted");
        }
        if orphans_checked.is_none_or(|at| at.elapsed() >= ORPHAN_INTERVAL) {
            match delete_orphans(&state).await {
                Ok(()) => orphans_checked = Some(Instant::now()),
                Err(error) => tracing::warn!(%error, "files that belong to no job cannot be deleted"),
            }
        }
    }
}

/// Have what was deleted leave the database's log, until the service closes.
pub(super) async fn scrub_deleted(state: Arc<State>) {
    loop {
        tokio::select! {
            () = state.closed.cancelled() => return,
            () = state.deleted.notified() => {}
        }
        tokio::select! {
            () = state.closed.cancelled() => {}
            () = tokio::time::sleep(SCRUB_DELAY) => {}
        }
        if let Err(error) = state.store.scrub().await {
            tracing::warn!(%error, "the log of the database cannot be emptied");
        }
    }
}

async fn sweep(state: &State) -> Result<(), StoreError> {
    let undeleted = std::mem::take(&mut *state.undeleted.lock());
    for id in undeleted {
        state.delete_files(id, "").await;
    }
    purge_expired(state).await?;
    let (now, forget_ms) = (state.now_ms(), i64::try_from(state.config.forget_after.as_millis()).unwrap_or(i64::MAX));
    let deleted = state
        .with_room(|| async {
            let expired = state.store.delete_expired(now.saturating_sub(forget_ms)).await?;
            Ok(expired + state.store.forget_canceled(now).await?)
        })
        .await?;
    let mut evicted = 0;
    for kept in state.store.list_kept().await? {
        evicted += evict(state, &kept).await?;
    }
    if deleted + evicted > 0 {
        tracing::debug!(jobs.expired = deleted, jobs.evicted = evicted, "deleted jobs");
        state.deleted.notify_one();
    }
    Ok(())
}

/// Delete the files of expired jobs. What cannot be deleted holds up nothing else, and is tried again at the next sweep.
async fn purge_expired(state: &State) -> Result<(), StoreError> {
    let mut left = HashSet::new();
    loop {
        // Those that are left come first again.
        let limit = PAGE.saturating_add(u32::try_from(left.len()).unwrap_or(u32::MAX));
        let mut expired = state.store.list_expired(state.now_ms(), limit).await?;
        expired.retain(|id| !left.contains(id));
        let mut purged = Vec::with_capacity(expired.len());
        for id in expired {
            match state.blobs.delete(id, "").await {
                Ok(()) => purged.push(id),
                Err(error) => {
                    tracing::warn!(job.id = %id, %error, "files of an expired job cannot be deleted");
                    left.insert(id);
                }
            }
        }
        if purged.is_empty() {
            // There are no more, or their store is out of reach.
            return Ok(());
        }
        state.with_room(|| state.store.mark_purged(&purged)).await?;
        tracing::info!(jobs = purged.len(), "deleted the files of expired jobs");
    }
}

/// Delete jobs of an owner that has more than it may have kept; returns how many.
async fn evict(state: &State, kept: &KeptJobs) -> Result<u64, StoreError> {
    let most = state.config.most_kept;
    let (mut jobs, mut bytes, mut evicted) = (kept.jobs, kept.bytes, 0);
    while jobs > most.jobs || bytes > most.bytes {
        let page = state.store.list_evictable(&kept.owner, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for (id, size) in page {
            if jobs <= most.jobs && bytes <= most.bytes {
                break;
            }
            state.delete_files(id, "").await;
            state.with_room(|| state.store.delete(id)).await?;
            (jobs, bytes, evicted) = (jobs.saturating_sub(1), bytes.saturating_sub(size), evicted + 1);
        }
    }
    if evicted > 0 {
        tracing::info!(job.owner = kept.owner, jobs = evicted, "an owner has more jobs than are kept; deleted some");
    }
    Ok(evicted)
}

/// Delete files of jobs that the database does not know. Where the database is younger than they are, it may be the wrong
/// one, and they stay for as long as a job's images are kept.
async fn delete_orphans(state: &State) -> Result<(), StoreError> {
    let mut folders = state.blobs.list_jobs().await?;
    let now = state.now_ms();
    let ttl_ms = i64::try_from(state.config.ttl.as_millis()).unwrap_or(i64::MAX);
    let oldest = state.store.oldest_job().await?.map_or(i64::MAX, made_at);
    folders.retain(|id| {
        let (made, age) = (made_at(*id), now.saturating_sub(made_at(*id)));
        !id.is_nil() && age > YOUNG_MS && (made >= oldest || age > ttl_ms.max(YOUNG_MS))
    });
    let mut deleted = 0;
    for page in folders.chunks(PAGE as usize) {
        for id in state.store.list_unknown(page).await? {
            state.delete_files(id, "").await;
            deleted += 1;
        }
    }
    if deleted > 0 {
        tracing::info!(folders = deleted, "deleted files that belong to no job");
    }
    Ok(())
}

/// When a job's id was made, ms since 1970; long ago if it does not say.
fn made_at(id: Uuid) -> i64 {
    let timestamp = id.get_timestamp().filter(|_| id.get_version_num() == 7);
    timestamp.map_or(0, |at| {
        let (s, ns) = at.to_unix();
        i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1000).saturating_add(i64::from(ns / 1_000_000))
    })
}
