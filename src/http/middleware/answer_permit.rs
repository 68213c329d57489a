//! A response's share of the memory for responses.
//!
//! Invariant: what a response takes up counts until nothing holds it any more.

use std::sync::Arc;
use std::time::Duration;

use crate::http::budget::BudgetPermit;
use crate::http::error::problem::Problem;
use crate::metrics;

/// How long a request waits for room for its response.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Smaller responses do not count, bytes.
pub(super) const SMALL: u64 = 16 << 10;

/// Room for a response, given back when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct AnswerPermit(Arc<Held>);

#[derive(Debug)]
struct Held(BudgetPermit);

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.held() > 1 {
            self.0.shrink_to(0);
            self.0.report(&metrics::RESPONSES);
        }
    }
}

impl AnswerPermit {
    pub(super) fn new(permit: BudgetPermit) -> Self {
        Self(Arc::new(Held(permit)))
    }

    /// Take room for `bytes` before they are made; a problem if there is none for long.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<(), Problem> {
        // More than a client's share is never there; what is made is counted afterwards.
        let grown = tokio::time::timeout(MAX_WAIT, self.0.0.grow_to_share(bytes)).await;
        if bytes > 1 {
            self.0.0.report(&metrics::RESPONSES);
        }
        grown.map_err(|_| Problem::unread())
    }

    /// Count exactly `bytes`, which are there.
    pub(crate) fn settle(&self, bytes: u64) {
        self.0.0.shrink_to(bytes);
        self.0.0.force_grow(bytes.saturating_sub(self.0.0.held()));
        self.0.0.report(&metrics::RESPONSES);
    }

    /// Count `bytes` more, which are there, until the guard is dropped.
    pub(crate) fn count(&self, bytes: u64) -> CountedGuard {
        self.0.0.force_grow(bytes);
        self.0.0.report(&metrics::RESPONSES);
        CountedGuard { permit: self.clone(), bytes }
    }
}

/// Bytes of a response, which count until this is dropped.
pub(crate) struct CountedGuard {
    permit: AnswerPermit,
    bytes: u64,
}

impl CountedGuard {
    /// For bytes that the permit has counted already.
    pub(super) fn of_settled(permit: AnswerPermit, bytes: u64) -> Self {
        Self { permit, bytes }
    }
}

impl Drop for CountedGuard {
    fn drop(&mut self) {
        let rest = self.permit.0.0.held().saturating_sub(self.bytes);
        self.permit.0.0.shrink_to(rest);
        self.permit.0.0.report(&metrics::RESPONSES);
    }
}
