//! Memory for jobs while they are executed.
//!
//! Invariant: what jobs in execution take together stays within the bound; they get it in the order in which they ask, so that
//! a large one is not passed for ever.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a permit.
const UNIT: u64 = 64 << 10;

/// The bound, and what is left of it.
#[derive(Debug, Clone)]
pub(crate) struct WorkingMemory {
    units: Arc<Semaphore>,
    total: u32,
}

impl WorkingMemory {
    /// A bound of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let most = u64::try_from(Semaphore::MAX_PERMITS).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        let total = u32::try_from(bytes.div_ceil(UNIT).min(most)).unwrap_or(u32::MAX);
        Self { units: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Whether a job that takes so many bytes may be executed at all.
    pub(crate) fn allows(&self, bytes: u64) -> bool {
        bytes.div_ceil(UNIT) <= u64::from(self.total)
    }

    /// Wait for room for a job. One that takes more with its images, or was accepted under a larger bound, gets all there is.
    pub(crate) async fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.total);
        self.units.clone().acquire_many_owned(units).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_wait_for_room_and_one_of_before_runs_alone() {
        let memory = WorkingMemory::new(10 * UNIT);
        assert!(memory.allows(10 * UNIT) && !memory.allows(10 * UNIT + 1));
        let first = memory.take(6 * UNIT).await;
        let second = tokio::spawn({
            let memory = memory.clone();
            async move { memory.take(50 * UNIT).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap());
        assert_eq!(memory.units.available_permits(), 10);
    }
}
