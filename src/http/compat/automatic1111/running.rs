//! The jobs of this surface that are under way in this process: what `progress` tells of, and `interrupt` stops.
//!
//! Invariant: a job is here from its acceptance until its answers are written or its clients are gone, and is seen by its owner
//! alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::http::context::AppState;
use crate::jobs::JobEvent;

/// Jobs under way, oldest first (their ids are ordered by time), with their owners and the calls that wait for each: those that
/// share an idempotency key share a job.
#[derive(Debug, Default)]
pub(crate) struct RunningJobs {
    owners: Mutex<BTreeMap<Uuid, (String, usize)>>,
}

/// Keeps a job among those under way.
pub(super) struct RunningGuard {
    jobs: Arc<RunningJobs>,
    id: Uuid,
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        let mut owners = self.jobs.owners.lock();
        if let Some((_, calls)) = owners.get_mut(&self.id) {
            *calls -= 1;
            if *calls == 0 {
                owners.remove(&self.id);
            }
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Default)]
pub(super) struct JobProgress {
    pub(super) id: Uuid,
    /// 0 to 100; 0 while it waits.
    pub(super) percent: f32,
    /// Of the stage that it is in.
    pub(super) step: usize,
    pub(super) steps: usize,
    pub(super) eta_ms: u64,
    /// The latest preview, a PNG.
    pub(super) preview: Option<Arc<Vec<u8>>>,
}

impl RunningJobs {
    /// Keep a job here as long as the guard lives.
    pub(super) fn hold(self: &Arc<Self>, id: Uuid, owner: &str) -> RunningGuard {
        self.owners.lock().entry(id).or_insert_with(|| (owner.to_owned(), 0)).1 += 1;
        RunningGuard { jobs: self.clone(), id }
    }

    /// The jobs of an owner, oldest first.
    pub(super) fn of_owner(&self, owner: &str) -> Vec<Uuid> {
        self.owners.lock().iter().filter(|(_, (other, _))| other == owner).map(|(id, _)| *id).collect()
    }
}

/// How far a job is; `None` if it has ended or runs elsewhere.
pub(super) fn progress_of(state: &AppState, id: Uuid) -> Option<JobProgress> {
    let mut events = state.jobs.events(id, 0)?;
    let mut progress = JobProgress { id, ..JobProgress::default() };
    // What is in the log by now; what would have to be waited for is not.
    while let Some(Some(event)) = events.next().now_or_never() {
        match &event.event {
            JobEvent::Queued { eta_ms, .. } => progress.eta_ms = *eta_ms,
            JobEvent::Progress { step, steps, percent, eta_ms, .. } => {
                (progress.step, progress.steps) = (*step, *steps);
                (progress.percent, progress.eta_ms) = (*percent, *eta_ms);
            }
            JobEvent::Preview { png, .. } => progress.preview = Some(png.clone()),
            JobEvent::Ended { .. } => return None,
        }
    }
    Some(progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_two_calls_is_under_way_until_both_have_ended() {
        let (jobs, id) = (Arc::new(RunningJobs::default()), Uuid::now_v7());
        let (first, second) = (jobs.hold(id, "me"), jobs.hold(id, "me"));
        assert_eq!((jobs.of_owner("me"), jobs.of_owner("them")), (vec![id], Vec::new()));
        drop(first);
        assert_eq!(jobs.of_owner("me"), [id]);
        drop(second);
        assert!(jobs.of_owner("me").is_empty());
    }
}
