//! Claims waiting jobs for the workers of this process while they have room.
//!
//! Invariant: no more images are in flight than the bound, so what the workers hold does not grow with the queue.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::execute;
use super::state::State;
use crate::broker::{Claim, Claimed};
use crate::retry::RetryPolicy;

/// Between attempts at claiming. The job whose claim failed waits meanwhile like any other, and can be canceled.
const CLAIM_RETRY: RetryPolicy = RetryPolicy::doubling(Duration::from_millis(100), Duration::from_secs(5));

/// Claim and start jobs until the process stops and nothing is left to claim.
pub(super) async fn claim_jobs(state: Arc<State>) {
    let mut failures = 0;
    loop {
        if !state.generator.is_alive() {
            // What no worker takes is left to others, or to the next process.
            state.stop.cancelled().await;
        }
        if state.storage.is_closed() && !state.stop.is_cancelled() {
            // What cannot be stored is not begun.
            tokio::select! {
                () = state.wait_storable() => {}
                () = state.stop.cancelled() => {}
            }
        }
        match state.broker.claim(state.room()).await {
            Ok(Some(Claimed::Job(claim))) => {
                failures = 0;
                start_run(&state, claim);
                continue;
            }
            Ok(Some(Claimed::Gone(id))) => {
                failures = 0;
                state.abandon_gone(id).await;
                continue;
            }
            Ok(None) if state.stop.is_cancelled() => return,
            Ok(None) => failures = 0,
            Err(error) => {
                tracing::warn!(%error, "a job cannot be claimed; trying again");
                if state.stop.is_cancelled() {
                    return;
                }
                failures += 1;
                let pause = CLAIM_RETRY.pause_after(failures).unwrap_or(CLAIM_RETRY.longest_pause);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = state.stop.cancelled() => {}
                }
                continue;
            }
        }
        tokio::select! {
            () = state.stop.cancelled() => {}
            () = state.broker.work_available() => {}
            () = state.in_flight.freed.notified() => {}
        }
    }
}

fn start_run(state: &Arc<State>, claim: Claim) {
    state.tally.note_claim(claim.job.epoch);
    let in_flight = state.in_flight.hold(claim.job.spec.generation.common.n);
    let span = state.live.lock().get(&claim.job.id).map(|live| live.span.clone());
    let accepted_elsewhere = Some(claim.span.clone()).filter(|span| !span.is_none());
    let span = span.or(accepted_elsewhere).unwrap_or_else(|| tracing::info_span!("job", job.id = %claim.job.id));
    let run_state = state.clone();
    state.claims.lock().insert(claim.job.id, (claim.job.epoch, claim.cancel.clone()));
    // The process waits for it on its way down, wherever the job was accepted.
    let open = state.open_jobs.token();
    state.runs.spawn(async move {
        execute::run(&run_state, &claim).instrument(span).await;
        {
            let mut claims = run_state.claims.lock();
            if claims.get(&claim.job.id).is_some_and(|(epoch, _)| *epoch == claim.job.epoch) {
                claims.remove(&claim.job.id);
            }
        }
        run_state.forget_elsewhere(claim.job.id);
        drop((in_flight, open));
    });
}
