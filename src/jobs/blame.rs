//! Who is to blame when a worker, or the whole process, is lost.
//!
//! Invariant: a job fails for it only after deaths that it alone can have caused: several in a row, at the same step, while
//! nothing else was executed. What dies from outside (a kill, no memory, an eviction) costs the others time and no more.

use std::time::Duration;

use jiff::Timestamp;

use super::state::State;
use crate::broker::{Claim, Release};
use crate::domain::{Failure, FailureKind};
use crate::engine::Caution;
use crate::journal::{JobRef, Loss, accused};
use crate::records::{Job, Suspicion};
use crate::store::{StoreError, Suspect};

/// How long a suspect waits, on average, before what a worker died of is tried again.
const PAUSE_MS: u64 = 1000;

/// Losses from which on a job of which nothing else is known waits before it is run again: it may be what kills the server, where
/// no note of that survives.
const MANY_LOSSES: u64 = 30;
/// How much longer after each one more, and how long at most.
const PAUSE_PER_LOSS: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What becomes of a job whose worker was lost.
pub(super) enum Verdict {
    Again(Release),
    Poisonous,
}

/// What poison jobs fail with.
pub(super) fn poisonous() -> Failure {
    Failure::new(FailureKind::Internal, "the server stopped each time that it ran this job")
}

/// The claim, as the journal names it.
pub(super) fn job_ref(claim: &Claim) -> JobRef {
    JobRef { id: claim.job.id, epoch: claim.job.epoch }
}

/// How a suspect is executed; `None`: it is none.
pub(super) fn caution(job: &Job) -> Option<Caution> {
    let suspicion = job.suspicion.as_ref()?;
    // At random, so that deaths at regular intervals do not meet it each time.
    let jitter_ms = u64::from(Timestamp::now().subsec_nanosecond().unsigned_abs() / 1000) % PAUSE_MS;
    let pause = Duration::from_millis(PAUSE_MS / 2 + jitter_ms) * suspicion.deaths;
    Some(Caution { place: (suspicion.deaths > 0).then(|| suspicion.place.clone()), pause })
}

/// How long a job waits that was lost very often, for whatever reason.
pub(super) fn pause_after_losses(job: &Job) -> Duration {
    let beyond = u64::try_from(job.losses).unwrap_or(0).saturating_sub(MANY_LOSSES);
    PAUSE_PER_LOSS.saturating_mul(u32::try_from(beyond).unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
}

impl State {
    /// Whether enough is known of a job to give it up.
    pub(super) fn is_poisonous(&self, job: &Job) -> bool {
        let deaths = job.suspicion.as_ref().map_or(0, |suspicion| i64::from(suspicion.deaths));
        deaths >= self.config.most_losses || job.losses >= self.config.most_unexplained_losses
    }

    /// What becomes of a job whose worker was lost in this process.
    pub(super) async fn judge(&self, claim: &Claim, loss: Option<Loss>) -> Verdict {
        let job = &claim.job;
        match loss {
            // The worker that lost it does not say more.
            None if job.losses + 1 >= self.config.most_losses => Verdict::Poisonous,
            None => Verdict::Again(Release::Lost),
            Some(Loss::Innocent) => Verdict::Again(Release::Innocent),
            Some(Loss::Suspect { place, alone }) => {
                let suspicion = Suspicion::after_death(job.suspicion.clone(), job.epoch, &place, alone);
                let accused = Job { suspicion: Some(suspicion), losses: job.losses + 1, ..Job::clone(job) };
                if self.is_poisonous(&accused) {
                    return Verdict::Poisonous;
                }
                let suspect = Suspect { job: job.id, epoch: job.epoch, place, alone };
                if let Err(error) = self.store.note_suspects(&[suspect]).await {
                    tracing::warn!(job.id = %job.id, %error, "it cannot be noted that a job lost its worker");
                }
                Verdict::Again(Release::Innocent)
            }
        }
    }

    /// Tell the store which jobs the last process was executing when it died.
    pub(super) async fn accuse_left_suspects(&self) -> Result<(), StoreError> {
        let suspects = self.left_suspects.lock().clone();
        if suspects.is_empty() {
            return Ok(());
        }
        tracing::warn!(jobs = suspects.len(), "the last process died while it executed jobs; each runs alone now");
        self.with_room(|| self.store.note_suspects(&suspects)).await?;
        self.left_suspects.lock().clear();
        Ok(())
    }
}

/// The jobs of the last process's note.
pub(super) fn suspects(left: &[crate::journal::Entry]) -> Vec<Suspect> {
    let suspects = accused(left).map(|(entry, alone)| Suspect {
        job: entry.job.id,
        epoch: entry.job.epoch,
        place: entry.place.clone(),
        alone,
    });
    suspects.collect()
}
