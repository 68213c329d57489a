//! A request's share of the memory for bodies.
//!
//! Invariant: what was taken is given back when nothing holds the permit any more, and not before.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::budget::{Budget, BudgetPermit};
use crate::http::client::ClientId;
use crate::http::error::problem::Problem;
use crate::metrics;

/// How long a body waits for room.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Bytes that are held for each byte of a body: as it came, and as what is read of it.
pub(super) const HELD: u64 = 2;
/// Up to this size, bytes held, a body also has the room that is reserved for small ones.
pub(super) const SMALL_BODY: u64 = HELD * (16 << 10);

/// A request's share of the budget, given back when the last clone is dropped: to be held as long as anything that was made
/// of its body, also by blocking tasks, which go on when the client is gone.
#[derive(Debug, Clone)]
pub(crate) struct BodyPermit(Arc<Held>);

#[derive(Debug)]
struct Held {
    room: BudgetPermit,
    reserve: BudgetPermit,
    budgets: [Arc<Budget>; 2],
    overflow: Arc<Semaphore>,
    /// It is this body's turn to come to its end beyond the budget.
    turn: OnceLock<OwnedSemaphorePermit>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.shrink_to(0);
        self.reserve.shrink_to(0);
        self.count();
    }
}

impl Held {
    fn count(&self) {
        metrics::REQUEST_BODIES.set(self.budgets.iter().map(|budget| budget.taken()).sum(), []);
    }

    fn try_grow(&self, bytes: u64) -> bool {
        if self.turn.get().is_some() {
            self.room.force_grow(bytes);
            return true;
        }
        let is_small = self.room.held() + self.reserve.held() + bytes <= SMALL_BODY;
        let grown = self.room.try_grow(bytes) || is_small && self.reserve.try_grow(bytes);
        self.count();
        grown
    }
}

impl BodyPermit {
    /// A permit that holds nothing yet.
    pub(super) fn new(room: &Arc<Budget>, reserve: &Arc<Budget>, overflow: &Arc<Semaphore>, client: ClientId) -> Self {
        Self(Arc::new(Held {
            room: room.permit(client.clone()),
            reserve: reserve.permit(client),
            budgets: [room.clone(), reserve.clone()],
            overflow: overflow.clone(),
            turn: OnceLock::new(),
        }))
    }

    /// Whose body it is.
    pub(crate) fn client(&self) -> &ClientId {
        self.0.room.client()
    }

    /// Take memory for `bytes` more, if there is room.
    pub(crate) fn try_grow(&self, bytes: u64) -> bool {
        self.0.try_grow(bytes)
    }

    /// Take memory for `bytes` more, as soon as there is room; a problem if there is none for long.
    pub(crate) async fn grow(&self, bytes: u64) -> Result<(), Problem> {
        if self.0.try_grow(bytes) {
            return Ok(());
        }
        // Bodies that have all begun and fill the room together would wait for each other: one at a time may go on beyond
        // it, the one that has waited longest.
        let grow = async {
            tokio::select! {
                () = self.0.room.grow(bytes) => {}
                Ok(turn) = self.0.overflow.clone().acquire_owned() => {
                    self.0.room.force_grow(bytes);
                    drop(self.0.turn.set(turn));
                }
            }
        };
        let grown = tokio::time::timeout(MAX_WAIT, grow).await;
        self.0.count();
        grown.map_err(|_| Problem::busy(MAX_WAIT))
    }
}
