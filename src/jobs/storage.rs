//! Whether what is made can be stored: a disk that is full or cannot be written, a service that is out of reach.
//!
//! Invariants: while something cannot be stored, no new work is accepted and none is begun; what is done already waits, and
//! is stored once that works again; what makes room (canceling, deleting, ending jobs) still works on a full disk.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::state::State;
use crate::retry::RetryPolicy;
use crate::store::StoreError;

/// How long the outcome of a check is remembered.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Between checks while something waits for one that succeeds.
const RECHECK: RetryPolicy = RetryPolicy::doubling(Duration::from_millis(100), Duration::from_secs(5));
/// The name of the file that checks write, under the id of no job.
const PROBE: &str = "probe";

impl State {
    /// Whether jobs and files can be stored. The outcome is remembered for a moment.
    pub(super) async fn check_storage(&self) -> Result<(), StoreError> {
        let mut checked = self.storage.checked.lock().await;
        let is_closed = self.storage.is_closed();
        if let Some((at, outcome)) = &*checked
            && at.elapsed() < REMEMBERED
            && outcome.is_err() == is_closed
        {
            return outcome.clone();
        }
        let outcome = self.probe().await;
        match &outcome {
            Ok(()) => {
                self.storage.probe_bytes.store(0, Ordering::SeqCst);
                if self.storage.is_closed.swap(false, Ordering::SeqCst) {
                    tracing::info!("the stores of jobs and images can be written again");
                }
            }
            Err(error) => {
                if !self.storage.is_closed.swap(true, Ordering::SeqCst) {
                    tracing::error!(%error, "the stores cannot be written; new work is refused, accepted work waits");
                }
            }
        }
        *checked = Some((Instant::now(), outcome.clone()));
        outcome
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.store.ping().await?;
        self.blobs.ping().await?;
        if !self.storage.is_closed() {
            return Ok(());
        }
        let bytes = self.storage.probe_bytes.load(Ordering::SeqCst);
        if bytes > 0 {
            let written = self.blobs.put(Uuid::nil(), PROBE, vec![0x5a; bytes]).await;
            self.blobs.delete(Uuid::nil(), "").await?;
            written?;
        }
        self.store.restore_room().await
    }

    /// Wait until something can be stored (again).
    pub(super) async fn wait_storable(&self) {
        let mut failures = 0;
        while self.check_storage().await.is_err() {
            failures += 1;
            tokio::time::sleep(RECHECK.pause_after(failures).unwrap_or(RECHECK.longest_pause)).await;
        }
    }

    /// Do what makes room in the store: on a full disk with what was held in reserve for it.
    pub(super) async fn with_room<T, F>(&self, change: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        match change().await {
            Err(StoreError::Full(why)) => {
                self.storage.close(0);
                let has_room = self.store.make_room().await;
                tracing::warn!(why, has_room, "the store is full; giving up what is held in reserve");
                change().await
            }
            done => done,
        }
    }
}
