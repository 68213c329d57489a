//! The way down: refuse, let run what can end in time, leave the rest to the next process.
//!
//! Invariant: when it is done, every durable job has ended or is queued in the store, and every other one has ended (unless
//! the store does not answer: then leases end, and recovery does it).

use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::state::State;

pub(super) async fn drain(state: &State, grace: Duration) {
    state.is_draining.store(true, Ordering::SeqCst);
    state.report().await;
    state.submissions.close();
    state.submissions.wait().await;
    // Durable jobs that wait are in the store; the next process adopts them.
    for id in state.broker.close() {
        state.abandon_job(id);
    }
    state.open_jobs.close();
    // Without a worker nothing more ends in time.
    let grace = if state.generator.is_alive() { grace } else { Duration::ZERO };
    if tokio::time::timeout(grace, state.open_jobs.wait()).await.is_err() {
        let jobs = state.live.lock().len();
        tracing::info!(jobs, "the grace period is over; durable jobs that run are requeued, the others fail");
    }
    state.stop.cancel();
    state.broker.events().close_owners();
    // Jobs that are attached to connections and still wait are claimed now, and fail at once like those that run.
    state.runs.close();
    state.runs.wait().await;
    let left: Vec<Uuid> = state.live.lock().keys().copied().collect();
    for id in left {
        state.abandon_job(id);
    }
    state.closed.cancel();
    state.loops.close();
    state.loops.wait().await;
}
