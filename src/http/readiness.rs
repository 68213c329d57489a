//! Whether the server is ready, as those are told who ask all the time.
//!
//! Invariant: however often it is asked, the stores are asked once a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::error::problem::Problem;

/// How long an outcome is remembered.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Whether the server is ready.
#[derive(Debug, Default)]
pub struct Readiness {
    is_leaving: AtomicBool,
    stores: Mutex<Option<(Instant, Result<(), Problem>)>>,
}

impl Readiness {
    /// From now on, be not ready: what is asked is still answered, but nothing new should be sent here.
    pub fn leave(&self) {
        self.is_leaving.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::SeqCst)
    }

    /// The outcome of asking the stores, new or remembered. Those who come meanwhile wait for the same one.
    pub(crate) async fn stores<E: Into<Problem>>(
        &self,
        ask: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<(), Problem> {
        let mut stores = self.stores.lock().await;
        if let Some((at, outcome)) = &*stores
            && at.elapsed() < REMEMBERED
        {
            return outcome.clone();
        }
        let outcome = ask().await.map_err(Into::into);
        *stores = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stores_are_asked_once_for_all_who_ask() {
        let (readiness, asked) = (Readiness::default(), std::sync::atomic::AtomicU32::new(0));
        for _ in 0..100 {
            let outcome = readiness.stores(async || {
                asked.fetch_add(1, Ordering::SeqCst);
                Err::<(), Problem>(Problem::internal())
            });
            assert!(outcome.await.is_err());
        }
        assert!(asked.load(Ordering::SeqCst) < 50, "{asked:?}");
        assert!(!readiness.is_leaving());
    }
}
