//! Accepting a request: bounds, inputs, the store, the line.
//!
//! Invariant: a durable job is in the store, with all that it needs, before its caller hears of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Instrument as _;
use uuid::Uuid;

use super::api::{Accepted, AcceptedJob, AttachedGuard, Refusal, Submission};
use super::inputs;
use super::policy::{CapacityExceeded, CapacityPermit, Demand, Held, OwnerPermit, turn, yields};
use super::state::{LiveJob, State};
use crate::broker::{JobEvent, QueuedWork, Subscription};
use crate::domain::JobState;
use crate::metrics;
use crate::modes::CheckedGeneration;
use crate::records::{Job, JobSpec};
use crate::store::{InsertOutcome, NewJob, QuotaCharge};

/// The share of the bounds that a job holds.
pub(super) type Permits = (CapacityPermit, OwnerPermit);

/// A job that is in the store, on its way to the broker.
pub(super) struct Enqueued {
    pub(super) job: Arc<Job>,
    pub(super) permits: Permits,
    /// `None`: its pixels are in the store, too.
    pub(super) inputs: Option<CheckedGeneration>,
    pub(super) request_id: String,
    /// Whether it ends with its connection.
    pub(super) is_attached: bool,
}

impl State {
    /// See [`super::JobService::submit`].
    pub(super) async fn accept(self: &Arc<Self>, submission: Submission) -> Result<Accepted, Refusal> {
        if self.is_draining() {
            // The other API nodes of a fleet take requests meanwhile.
            let cost = if self.broker.shares_memory() { self.admission.cost() } else { 0 };
            return Err(Refusal::Draining { retry_after: self.time_for(cost) });
        }
        if let Some(known) = self.find_known(&submission).await? {
            return Ok(Accepted::Known(known));
        }
        self.check_storage().await?;
        let Submission { mut spec, owner, allowance, durable, idempotency, request_id } = submission;
        let charge = check_quota(&spec, allowance.daily_images)?;
        // In a fleet, the store counts the jobs of an owner: those of all nodes.
        let is_counted_here = self.broker.shares_memory();
        let held = if is_counted_here || owner.is_empty() { None } else { Some(self.store.held_by(&owner).await?) };
        let held = held.map(|(jobs, cost)| Held { jobs, cost, input_bytes: self.owners.held(&owner).input_bytes });
        let yields = held.is_some_and(|held| yields(held.cost, self.speed()));
        let permits = self.admit(&mut spec, &owner, allowance.jobs.filter(|_| is_counted_here), held)?;

        let id = Uuid::now_v7();
        let pixel_bytes = spec.generation.pixel_bytes();
        let without_pixels = spec.generation.without_pixels();
        let full = std::mem::replace(&mut spec.generation, without_pixels);
        // What other processes may have to run is in the store as a whole.
        let in_store = pixel_bytes > 0 && (durable || !self.broker.shares_memory());
        let inputs = if in_store {
            if let Err(error) = inputs::write(&*self.blobs, id, full).await {
                self.delete_files(id, "").await;
                self.storage.close(pixel_bytes);
                return Err(error.into());
            }
            None
        } else {
            Some(full)
        };
        // Where others do the work, it must not be lost with the process that holds the connection, nor with one that works:
        // it is canceled when its connection ends.
        let is_kept = durable || !self.broker.shares_memory();
        let job = Arc::new(Job { yields, ..self.new_job(id, owner, is_kept, spec) });
        let holder = (!is_kept).then(|| self.broker.lease());
        let most_jobs = allowance.jobs.filter(|_| !is_counted_here);
        let new = NewJob { job: &job, idempotency: idempotency.as_ref(), holder: holder.as_ref(), charge, most_jobs };
        let started = Instant::now();
        let inserted = self.store.insert_job(new).await;
        metrics::STORE_DURATION.record_since(started, ["insert"]);
        // A store that was lost on the way may have the job nevertheless.
        let is_there = matches!(inserted, Ok(InsertOutcome::New))
            || inserted.is_err() && !matches!(self.store.get(id).await, Ok(None));
        if in_store && !is_there {
            self.delete_files(id, "").await;
        }
        match inserted? {
            InsertOutcome::New => {}
            InsertOutcome::Existing(job) => return Ok(Accepted::Known(job)),
            InsertOutcome::Conflict => return Err(Refusal::Conflict),
            InsertOutcome::OverJobs => {
                let (most, retry_after) = (most_jobs.unwrap_or(0), self.speed().time_alone(job.cost));
                return Err(Refusal::OwnJobs { most, retry_after });
            }
            InsertOutcome::OverQuota => {
                let (most, retry_after) = (charge.map_or(0, |charge| charge.quota), until_midnight(job.created_at));
                return Err(Refusal::OwnImages { most, retry_after: Some(retry_after) });
            }
        }
        metrics::JOBS_ACCEPTED.add(1, [job.mode.name()]);
        tracing::info!(
            job.id = %id, job.owner = job.owner, request.id = request_id, job.mode = job.mode.name(),
            job.cost = job.cost, job.durable = job.durable, "accepted"
        );
        let new = Enqueued { job: job.clone(), permits, inputs, request_id, is_attached: !durable };
        let events = self.enqueue(new).await;
        let attached = (!durable).then(|| AttachedGuard::new(job.clone(), self));
        Ok(Accepted::New(AcceptedJob { job, events, attached }))
    }

    async fn find_known(&self, submission: &Submission) -> Result<Option<Box<Job>>, Refusal> {
        let Some(idempotency) = &submission.idempotency else { return Ok(None) };
        match self.store.find_idempotent(&submission.owner, &idempotency.key).await? {
            Some((_, fingerprint)) if fingerprint != idempotency.fingerprint => Err(Refusal::Conflict),
            Some((job, _)) if self.has_lost_files(&job).await => {
                tracing::warn!(job.id = %job.id, "the images of a job are gone; its idempotency key is free again");
                self.store.free_key(job.id).await?;
                Ok(None)
            }
            found => Ok(found.map(|(job, _)| Box::new(job))),
        }
    }

    /// Whether a job has images whose files are not there although it has not expired.
    async fn has_lost_files(&self, job: &Job) -> bool {
        if job.state != JobState::Succeeded || job.expires_at.is_some_and(|at| at <= self.now_ms()) {
            return false;
        }
        for image in &job.images {
            if matches!(inputs::has_result(&*self.blobs, job, image).await, Ok(false)) {
                return true;
            }
        }
        false
    }

    /// `held`: what the owner holds in all processes; `None`: what it holds here.
    fn admit(
        &self,
        spec: &mut JobSpec,
        owner: &str,
        most_jobs: Option<u32>,
        held: Option<Held>,
    ) -> Result<Permits, Refusal> {
        let cost = spec.generation.cost(self.generator.native_size());
        // A second attempt and the worker share them.
        let demand = Demand { cost, input_bytes: spec.generation.pixel_bytes() as u64 };
        if !self.working.allows(spec.generation.working_bytes(self.generator.native_size())) {
            return Err(Refusal::TooLarge);
        }
        let refuse = |exceeded: CapacityExceeded| match exceeded {
            CapacityExceeded::Never => Refusal::TooLarge,
            CapacityExceeded::Now { excess_cost } => Refusal::Full { retry_after: self.time_for(excess_cost) },
            CapacityExceeded::Share { excess_cost } => Refusal::OwnShare { retry_after: self.time_for(excess_cost) },
        };
        let held = held.unwrap_or_else(|| self.owners.held(owner));
        let Some(permit) = self.owners.admit(owner, demand, most_jobs) else {
            // When one of its jobs has ended, which takes about as long as an average one does.
            let retry_after = self.speed().time_alone(self.admission.cost() / self.admission.jobs().max(1));
            return Err(Refusal::OwnJobs { most: most_jobs.unwrap_or(0), retry_after });
        };
        // Where keys are off, all callers are one owner, and the queue is theirs.
        if !owner.is_empty() {
            self.admission.check_share(demand, held, self.config.owner_share).map_err(refuse)?;
        }
        Ok((self.admission.admit(demand).map_err(refuse)?, permit))
    }

    /// What is done of the owner's own jobs before this one is; nothing where keys are off and all share one owner.
    fn cost_before(&self, job: &Job) -> u64 {
        if job.owner.is_empty() { 0 } else { self.owners.cost_before(&job.owner, job.cost) }
    }

    fn new_job(&self, id: Uuid, owner: String, durable: bool, spec: JobSpec) -> Job {
        Job {
            id,
            owner,
            state: JobState::Queued,
            mode: spec.generation.mode(),
            model: self.generator.model_name().to_owned(),
            durable,
            cost: spec.generation.cost(self.generator.native_size()),
            yields: false,
            spec,
            epoch: 0,
            losses: 0,
            suspicion: None,
            cancel_requested: false,
            created_at: self.now_ms(),
            started_at: None,
            finished_at: None,
            expires_at: None,
            images: Vec::new(),
            timings: None,
            failure: None,
        }
    }

    /// How the broker sees a job.
    pub(super) fn work(&self, job: &Job, is_attached: bool) -> QueuedWork {
        let common = &job.spec.generation.common;
        QueuedWork {
            job: job.id,
            owner: job.owner.as_str().into(),
            turn: turn(job, self.cost_before(job), self.speed().per_ms()),
            cost: job.cost,
            images: common.n,
            priority: job.spec.priority,
            yields: job.yields,
            size: common.drawn.or(common.size),
            durable: !is_attached,
        }
    }

    /// Let a job that is in the store wait for its turn.
    pub(super) async fn enqueue(self: &Arc<Self>, enqueued: Enqueued) -> Subscription {
        let Enqueued { job, permits: (mut capacity, mut owner), inputs, request_id, is_attached } = enqueued;
        let id = job.id;
        let events = self.broker.events().open(id, &job.owner);
        if inputs.is_none() {
            capacity.release_input();
            owner.release_input();
        }
        let work = self.work(&job, is_attached);
        let span = tracing::info_span!("job", job.id = %id, job.mode = job.mode.name());
        let live = LiveJob {
            span: span.clone(),
            inputs,
            request_id,
            _capacity: capacity,
            _owner: owner,
            _open: self.open_jobs.token(),
        };
        self.live.lock().insert(id, live);
        if !self.broker.shares_memory() {
            self.release_once_ended(id);
        }
        // Before the job can be claimed: events of its run come after this one.
        let place = self.broker.place_for(&work);
        self.broker.events().announce(id, self.queued_event(&place));
        if let Err(error) = self.broker.publish(work).instrument(span).await {
            tracing::warn!(job.id = %id, %error, "a job cannot be published; it waits in the store");
            self.abandon_job(id);
        }
        events
    }
}

impl State {
    /// Give back a job's share of the bounds once another process has ended it.
    fn release_once_ended(self: &Arc<Self>, id: Uuid) {
        let Some(mut events) = self.broker.events().watch(id, 0) else { return };
        let state = self.clone();
        self.loops.spawn(async move {
            let ended = async {
                while let Some(event) = events.next().await {
                    if matches!(event.event, JobEvent::Ended { .. }) {
                        return;
                    }
                }
            };
            tokio::select! {
                () = state.closed.cancelled() => {}
                () = ended => state.remove_live(id),
            }
        });
    }
}

/// What a job costs its owner, unless that is more than a whole day's quota.
fn check_quota(spec: &JobSpec, quota: Option<u32>) -> Result<Option<QuotaCharge>, Refusal> {
    let images = spec.generation.common.n;
    match quota {
        Some(quota) if images > quota => Err(Refusal::OwnImages { most: quota, retry_after: None }),
        quota => Ok(quota.map(|quota| QuotaCharge { images, quota })),
    }
}

/// Until the next day begins, UTC.
fn until_midnight(now_ms: i64) -> Duration {
    const DAY: i64 = 86_400_000;
    Duration::from_millis(u64::try_from(DAY - now_ms.rem_euclid(DAY)).unwrap_or(0))
}
