//! Memory for images that are being decoded.
//!
//! Invariant: pixels are taken from the budget before they are decoded, by what the headers of their files say, and stay taken
//! until the work on them has ended, whether its client is still there or not.

use std::time::Duration;

use super::client::ClientId;
use super::error::problem::Problem;
use crate::fair::{FairPermit, FairRoom};
use crate::imaging::DecodedSize;

/// How long a request waits for room.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Memory for decoding, and how many requests decode at once.
#[derive(Debug, Clone)]
pub struct DecodeBudget {
    bytes: FairRoom<ClientId>,
    threads: FairRoom<ClientId>,
}

impl DecodeBudget {
    /// A budget of `bytes`, for as many requests at once.
    #[must_use]
    pub fn new(bytes: u64, threads: usize) -> Self {
        Self { bytes: FairRoom::new(bytes), threads: FairRoom::without_shares(threads.max(1) as u64) }
    }

    /// Wait for room for a request's images; clients take turns.
    pub(crate) async fn reserve(&self, client: &ClientId, size: DecodedSize) -> Result<DecodePermit, Problem> {
        if !self.bytes.allows(size.most) {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let (needed, most) = (mib(size.most), mib(self.bytes.total()));
            return Err(Problem::too_large(format!(
                "the images of the request take {needed} MiB while they are decoded; at most {most} MiB are allowed \
                 (server.max_decoded_bytes_in_flight)"
            )));
        }
        let waiting = async {
            // The longer wait first: threads are not held idle.
            let bytes = self.bytes.take(client, size.most).await?;
            let thread = self.threads.take(client, 1).await?;
            Some(DecodePermit { bytes, thread: Some(thread), kept: size.kept })
        };
        match tokio::time::timeout(MAX_WAIT, waiting).await {
            Ok(Some(permit)) => Ok(permit),
            Ok(None) => Err(Problem::internal()),
            Err(_) => Err(Problem::decoders_busy(MAX_WAIT)),
        }
    }

    /// Wait for room for an image that was made here, however large it is.
    pub(crate) async fn reserve_own(&self, client: &ClientId, bytes: u64) -> Result<DecodePermit, Problem> {
        let most = bytes.min(self.bytes.total());
        self.reserve(client, DecodedSize { most, kept: 0 }).await
    }
}

/// A request's part of the budget.
#[derive(Debug)]
pub(crate) struct DecodePermit {
    bytes: FairPermit<ClientId>,
    thread: Option<FairPermit<ClientId>>,
    kept: u64,
}

impl DecodePermit {
    /// Give back what decoding took beside the pixels that are kept.
    pub(crate) fn end_decoding(&mut self) {
        self.thread = None;
        self.bytes.shrink_to(self.kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_decoded_stays_taken_until_the_permit_goes() {
        let (budget, client) = (DecodeBudget::new(10, 1), ClientId::Unknown);
        let another = ClientId::Key("another".into());
        let size = |most, kept| DecodedSize { most, kept };
        let too_large = budget.reserve(&client, size(11, 1)).await;
        assert!(too_large.is_err_and(|problem| problem.status() == 413));
        let mut permit = budget.reserve(&client, size(10, 4)).await.unwrap();
        let mut next = Box::pin(budget.reserve(&client, size(6, 0)));
        assert!(futures_util::poll!(&mut next).is_pending());
        let mut other = Box::pin(budget.reserve(&another, size(6, 0)));
        assert!(futures_util::poll!(&mut other).is_pending());
        permit.end_decoding();
        assert!(futures_util::poll!(&mut other).is_ready(), "it is another's turn");
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(permit);
        assert!(next.await.is_ok());
    }
}
