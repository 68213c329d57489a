//! Memory for images that are being decoded.
//!
//! Invariant: pixels are taken from the budget before they are decoded, by what the headers of their files say, and stay taken
//! until the work on them has ended, whether its client is still there or not.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::problem::Problem;
use crate::imaging::DecodedSize;

/// How long a request waits for room.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Bytes of a permit of the budget.
const UNIT: u64 = 64 << 10;

/// Memory for decoding, and how many requests decode at once.
#[derive(Debug, Clone)]
pub struct DecodeBudget {
    units: Arc<Semaphore>,
    total: u32,
    threads: Arc<Semaphore>,
}

impl DecodeBudget {
    /// A budget of `bytes`, for as many requests at once.
    #[must_use]
    pub fn new(bytes: u64, threads: usize) -> Self {
        let total = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let units = Arc::new(Semaphore::new(total as usize));
        Self { units, total, threads: Arc::new(Semaphore::new(threads.max(1))) }
    }

    /// Wait for room for a request's images.
    pub(crate) async fn reserve(&self, size: DecodedSize) -> Result<DecodePermit, Problem> {
        let units = u32::try_from(size.most.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        if units > self.total {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let (needed, most) = (mib(size.most), mib(u64::from(self.total) * UNIT));
            return Err(Problem::too_large(format!(
                "the images of the request take {needed} MiB while they are decoded; at most {most} MiB are allowed \
                 (server.max_decoded_bytes_in_flight)"
            )));
        }
        let waiting = async {
            // The longer wait first: threads are not held idle.
            let units = self.units.clone().acquire_many_owned(units).await.ok()?;
            let thread = self.threads.clone().acquire_owned().await.ok()?;
            Some(DecodePermit { units, thread: Some(thread), kept: size.kept })
        };
        match tokio::time::timeout(MAX_WAIT, waiting).await {
            Ok(Some(permit)) => Ok(permit),
            Ok(None) => Err(Problem::internal()),
            Err(_) => Err(Problem::decoders_busy(MAX_WAIT)),
        }
    }

    /// Wait for room for an image that was made here, however large it is.
    pub(crate) async fn reserve_own(&self, bytes: u64) -> Result<DecodePermit, Problem> {
        let most = bytes.min(u64::from(self.total) * UNIT);
        self.reserve(DecodedSize { most, kept: 0 }).await
    }
}

/// A request's part of the budget.
#[derive(Debug)]
pub(crate) struct DecodePermit {
    units: OwnedSemaphorePermit,
    thread: Option<OwnedSemaphorePermit>,
    kept: u64,
}

impl DecodePermit {
    /// Give back what decoding took beside the pixels that are kept.
    pub(crate) fn end_decoding(&mut self) {
        self.thread = None;
        let kept = usize::try_from(self.kept.div_ceil(UNIT)).unwrap_or(usize::MAX);
        let rest = self.units.num_permits().saturating_sub(kept);
        drop(self.units.split(rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_decoded_stays_taken_until_the_permit_goes() {
        let budget = DecodeBudget::new(10 * UNIT, 1);
        let too_large = budget.reserve(DecodedSize { most: 11 * UNIT, kept: 1 }).await;
        assert!(too_large.is_err_and(|problem| problem.status() == 413));
        let mut permit = budget.reserve(DecodedSize { most: 10 * UNIT, kept: 4 * UNIT }).await.unwrap();
        assert_eq!(budget.units.available_permits(), 0);
        permit.end_decoding();
        assert_eq!((budget.units.available_permits(), budget.threads.available_permits()), (6, 1));
        drop(permit);
        assert_eq!(budget.units.available_permits(), 10);
    }
}
