//! From accepted requests to finished jobs: admission, the order of work, running, the end.
//!
//! Invariants: a job that was accepted as durable is in the store before its client hears of it, and is ended once; work
//! and memory are bounded whatever the load; whatever fails, a job is ended or goes back to be done again.

mod admission;
mod announce;
mod dispatch;
mod feed;
mod housekeeping;
mod inspect;
mod owners;
mod pending;
mod persist;
mod rate;
mod run;
mod webhooks;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

pub use admission::Capacity;
pub use feed::{Files, JobEvent, NumberedEvent, Subscription};
pub use webhooks::{WebhookConfig, WebhookTransport};

use crate::domain::JobState;
use crate::engine::Engine;
use crate::imaging::Encoder;
use crate::metrics;
use crate::moderation::OutputModeration;
use crate::modes::CheckedGeneration;
use crate::records::{Job, JobSpec};
use crate::store::{Blobs, Canceling, Charge, Idempotency, Inserted, JobFilter, JobStore, Lease, NewJob, StoreError};
use admission::{Admission, Demand, Full, Permit};
use feed::Feed;
use owners::{Owners, Share};
use pending::{Pending, Waiting};
use rate::Rate;

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    pub capacity: Capacity,
    /// Most pictures that one worker has in flight.
    pub max_pictures_in_flight: u32,
    /// A durable job that was lost with its worker this often fails.
    pub most_losses: i64,
    /// A process that does not extend its leases for this long has lost its jobs.
    pub lease: Duration,
    /// How long jobs and pictures are kept after their end.
    pub ttl: Duration,
    /// How long an expired job is remembered.
    pub forget_after: Duration,
    /// How often is cleaned up.
    pub clean_interval: Duration,
    /// The server's own address for webhooks, without a slash at its end; empty: they carry relative addresses.
    pub public_url: String,
    /// This process's name among those that share the store.
    pub worker: String,
    /// Whether no other process uses the store: whatever is running in it when this one starts, is lost.
    pub exclusive: bool,
    /// Writes the files of pictures.
    pub encoder: Arc<Encoder>,
    /// Moderation of finished images; `None` turns it off.
    pub output_moderation: Option<Arc<OutputModeration>>,
}

/// What an owner may have. None: no bound of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowance {
    /// Jobs waiting or running at once, here.
    pub jobs: Option<u32>,
    /// Pictures of one day (UTC), of all servers that share the store.
    pub daily_pictures: Option<u32>,
}

/// A request to be accepted.
#[derive(Debug)]
pub struct Submission {
    pub spec: JobSpec,
    pub owner: String,
    pub allowance: Allowance,
    /// Whether it outlives the connection and the process.
    pub durable: bool,
    pub idempotency: Option<Idempotency>,
    /// The id of the HTTP request, for logs.
    pub request_id: String,
}

/// Why a request is not accepted.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// Too much is waiting; there may be room after this long.
    Full {
        retry_after: Duration,
    },
    /// It brings more pixels than are ever held.
    TooLarge,
    /// The server is about to stop.
    Draining {
        retry_after: Duration,
    },
    /// The idempotency key belongs to another request.
    Conflict,
    /// The owner has as many jobs waiting or running as it may have.
    OwnJobs {
        most: u32,
        retry_after: Duration,
    },
    /// The owner's pictures of the day are used up, as far as this request needs them; there are new ones after this long.
    /// None: it asks for more than there are in a day.
    OwnPictures {
        most: u32,
        retry_after: Option<Duration>,
    },
    Store(StoreError),
}

impl Refusal {
    /// A word for it in metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Full { .. } => "queue_full",
            Self::TooLarge => "too_large",
            Self::Draining { .. } => "draining",
            Self::Conflict => "idempotency_conflict",
            Self::OwnJobs { .. } => "concurrency",
            Self::OwnPictures { .. } => "quota",
            Self::Store(_) => "store",
        }
    }
}

/// What became of a submission.
pub enum Accepted {
    New(AcceptedJob),
    /// The same request came before.
    Known(Box<Job>),
}

/// A new job.
pub struct AcceptedJob {
    pub job: Arc<Job>,
    pub events: Subscription,
    /// None for durable jobs.
    pub attached: Option<AttachedGuard>,
}

/// Ties a job to the life of its connection: dropping it cancels the job.
pub struct AttachedGuard {
    job: Arc<Job>,
    cancel: CancellationToken,
    queue: Weak<Inner>,
}

impl Drop for AttachedGuard {
    fn drop(&mut self) {
        self.cancel.cancel();
        let Some(inner) = self.queue.upgrade().filter(|inner| lock(&inner.pending).contains(self.job.id)) else {
            return;
        };
        // It must not wait for its turn only to be dropped then.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let job = self.job.clone();
            runtime.spawn(async move {
                if let Err(error) = inner.cancel(&job).await {
                    tracing::warn!(job.id = %job.id, %error, "a job whose client is gone cannot be canceled yet");
                }
            });
        }
    }
}

/// What is known here of a job that has not ended.
struct Live {
    job: Arc<Job>,
    cancel: CancellationToken,
    _permit: Permit,
    _share: Share,
    /// None: in the store, to be read when its turn comes.
    generation: Option<CheckedGeneration>,
    request_id: String,
    /// Within the request's, if there is one.
    span: tracing::Span,
}

/// The queue. Cheap to clone.
#[derive(Clone)]
pub struct JobService(Arc<Inner>);

struct Inner {
    config: JobsConfig,
    engine: Arc<Engine>,
    jobs: Arc<dyn JobStore>,
    blobs: Arc<dyn Blobs>,
    admission: Admission,
    owners: Owners,
    feed: Feed,
    rate: Mutex<Rate>,
    pending: Mutex<Pending>,
    live: Mutex<HashMap<Uuid, Live>>,
    /// Pictures handed to the workers.
    in_flight: AtomicU32,
    /// Something may be dispatched, or delivered.
    wake: Notify,
    outbox: Notify,
    draining: AtomicBool,
    /// Ends the loops.
    closed: CancellationToken,
    /// Ends what is running, at its next step.
    stop: CancellationToken,
    runs: TaskTracker,
    loops: TaskTracker,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// ms since 1970.
fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Until the next day begins, UTC.
fn until_midnight(now: i64) -> Duration {
    const DAY: i64 = 86_400_000;
    Duration::from_millis(u64::try_from(DAY - now.rem_euclid(DAY)).unwrap_or(0))
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl JobService {
    /// Take up what an earlier process left, and start working.
    pub async fn start(
        config: JobsConfig,
        engine: Arc<Engine>,
        jobs: Arc<dyn JobStore>,
        blobs: Arc<dyn Blobs>,
        webhooks: Option<(WebhookConfig, Arc<dyn WebhookTransport>)>,
    ) -> Result<Self, StoreError> {
        let inner = Arc::new(Inner {
            admission: Admission::new(config.capacity),
            config,
            engine,
            jobs,
            blobs,
            owners: Owners::default(),
            feed: Feed::default(),
            rate: Mutex::default(),
            pending: Mutex::default(),
            live: Mutex::default(),
            in_flight: AtomicU32::new(0),
            wake: Notify::new(),
            outbox: Notify::new(),
            draining: AtomicBool::new(false),
            closed: CancellationToken::new(),
            stop: CancellationToken::new(),
            runs: TaskTracker::new(),
            loops: TaskTracker::new(),
        });
        // Nobody else could be running them.
        let lost = if inner.config.exclusive { i64::MAX } else { now_ms() };
        inner.recover(lost).await?;
        inner.adopt_queued().await?;
        inner.loops.spawn(dispatch::run(inner.clone()));
        inner.loops.spawn(housekeeping::keep_leases(inner.clone()));
        inner.loops.spawn(housekeeping::clean(inner.clone()));
        if let Some((config, courier)) = webhooks {
            inner.loops.spawn(webhooks::deliver(inner.clone(), config, courier));
        }
        Ok(Self(inner))
    }

    /// Accept a checked request.
    pub async fn accept(&self, submission: Submission) -> Result<Accepted, Refusal> {
        let mode = submission.spec.generation.mode();
        // A client that hangs up ends its handler at any point; a job that is half taken in would stay so.
        let queue = self.clone();
        let accepting = async move { queue.try_accept(submission).await };
        let accepted = match tokio::spawn(accepting.in_current_span()).await {
            Ok(accepted) => accepted,
            Err(error) => Err(Refusal::Store(StoreError::Failed(error.to_string()))),
        };
        match &accepted {
            Ok(Accepted::New(_)) => metrics::JOBS_ACCEPTED.add(1, [mode.name()]),
            Ok(Accepted::Known(_)) => {}
            Err(refusal) => metrics::JOBS_REJECTED.add(1, [refusal.reason()]),
        }
        accepted
    }

    async fn try_accept(&self, mut submission: Submission) -> Result<Accepted, Refusal> {
        let inner = &self.0;
        if inner.draining.load(Ordering::Relaxed) {
            return Err(Refusal::Draining { retry_after: inner.time_for(inner.admission.cost()) });
        }
        if let Some(known) = inner.find_known(&submission).await? {
            return Ok(Accepted::Known(known));
        }
        let Allowance { jobs: most_jobs, daily_pictures } = submission.allowance;
        let pictures = submission.spec.generation.common.n;
        if let Some(most) = daily_pictures.filter(|most| pictures > *most) {
            return Err(Refusal::OwnPictures { most, retry_after: None });
        }
        let Some(share) = inner.owners.admit(&submission.owner, most_jobs) else {
            // When one of its jobs has ended, which takes about as long as an average one does.
            let retry_after = inner.time_for(inner.admission.cost() / inner.admission.jobs().max(1));
            return Err(Refusal::OwnJobs { most: most_jobs.unwrap_or(0), retry_after });
        };
        let generation = &mut submission.spec.generation;
        let cost = generation.cost(inner.engine.info().native_size);
        let pixels = generation.pixel_bytes();
        let has_pixels = pixels > 0;
        // A second attempt and the worker share them.
        let input_bytes = pixels as u64;
        let permit = inner.admission.admit(Demand { cost, input_bytes }).map_err(|full| match full {
            Full::Never => Refusal::TooLarge,
            Full::Now { excess_cost } => Refusal::Full { retry_after: inner.time_for(excess_cost) },
        })?;

        let now = now_ms();
        let id = Uuid::now_v7();
        let mut spec = submission.spec;
        let light = spec.generation.without_pixels();
        let mut full = Some(std::mem::replace(&mut spec.generation, light));
        let in_store = submission.durable && has_pixels;
        if in_store && let Some(full) = full.take() {
            persist::write(&*inner.blobs, id, full).await.map_err(Refusal::Store)?;
        }
        let job = Arc::new(Job {
            id,
            owner: submission.owner,
            state: JobState::Queued,
            mode: spec.generation.mode(),
            model: inner.engine.info().name.clone(),
            durable: submission.durable,
            cost,
            spec,
            epoch: 0,
            losses: 0,
            cancel_requested: false,
            created_at: now,
            started_at: None,
            finished_at: None,
            expires_at: None,
            images: Vec::new(),
            timings: None,
            failure: None,
        });
        let holder = (!job.durable).then(|| inner.lease());
        let started = Instant::now();
        let charge = daily_pictures.map(|quota| Charge { pictures, quota });
        let (idempotency, holder) = (submission.idempotency.as_ref(), holder.as_ref());
        let inserted = inner.jobs.accept(NewJob { job: &job, idempotency, holder, charge }).await;
        metrics::STORE_DURATION.record_since(started, ["insert"]);
        if in_store && !matches!(inserted, Ok(Inserted::New)) {
            inner.delete_files(id, "").await;
        }
        match inserted.map_err(Refusal::Store)? {
            Inserted::New => {}
            Inserted::Existing(job) => return Ok(Accepted::Known(job)),
            Inserted::Conflict => return Err(Refusal::Conflict),
            Inserted::OverQuota => {
                let (most, retry_after) = (daily_pictures.unwrap_or(0), Some(until_midnight(now)));
                return Err(Refusal::OwnPictures { most, retry_after });
            }
        }
        tracing::info!(
            job.id = %id, job.owner = job.owner, request.id = submission.request_id, job.mode = job.mode.name(),
            job.cost = cost, job.durable = job.durable, "accepted"
        );
        let (events, cancel) = inner.take_in(job.clone(), (permit, share), full, submission.request_id);
        let attached = (!job.durable).then(|| AttachedGuard { job: job.clone(), cancel, queue: Arc::downgrade(inner) });
        Ok(Accepted::New(AcceptedJob { job, events, attached }))
    }

    /// A job, whatever its state.
    pub async fn get(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        self.0.jobs.get(id).await
    }

    /// Newest first.
    pub async fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        self.0.jobs.list(filter).await
    }

    /// The file of a finished picture.
    pub async fn file(&self, job: &Job, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        match job.images.iter().find(|image| image.index == index) {
            Some(image) => self.0.blobs.get(job.id, &persist::result_name(image)).await,
            None => Ok(None),
        }
    }

    /// Listen to a job from the event after number `after` on. None if it has ended, or another process runs it.
    #[must_use]
    pub fn events(&self, id: Uuid, after: u64) -> Option<Subscription> {
        self.0.feed.job(id, after)
    }

    /// Listen to all jobs of an owner (None: of everybody), from the event after number `after` on; without it, from now on.
    #[must_use]
    pub fn owner_events(&self, owner: Option<&str>, after: Option<u64>) -> Subscription {
        self.0.feed.owner(owner, after)
    }

    /// Cancel a job: at once if it waits, at its next step if it runs.
    pub async fn cancel(&self, job: &Job) -> Result<Canceling, StoreError> {
        self.0.cancel(job).await
    }

    /// Cancel a job if it has not ended, and delete it with its pictures.
    pub async fn delete(&self, job: &Job) -> Result<bool, StoreError> {
        let (inner, job) = (self.0.clone(), job.clone());
        let deleting = async move {
            if !job.state.is_final() {
                inner.cancel(&job).await?;
            }
            let known = inner.jobs.delete(job.id).await?;
            inner.delete_files(job.id, "").await;
            Ok(known)
        };
        // A client that hangs up in between must not leave files that nobody knows of.
        tokio::spawn(deleting.in_current_span())
            .await
            .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }

    /// Whether requests are taken.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Whether the store and the folder of pictures answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.0.jobs.ping().await?;
        self.0.blobs.ping().await
    }

    /// Publish what the queue holds as metrics.
    pub fn measure(&self) {
        let inner = &self.0;
        let (jobs, waiting) = (inner.admission.jobs(), lock(&inner.pending).len() as u64);
        metrics::JOBS_QUEUED.set(waiting, []);
        metrics::JOBS_RUNNING.set(jobs.saturating_sub(waiting), []);
        metrics::QUEUE_COST.set(inner.admission.cost(), []);
        metrics::QUEUE_COST_LIMIT.set(inner.config.capacity.cost, []);
    }

    /// Stop accepting, give what runs this long to end, put the rest back into the queue.
    pub async fn drain(&self, grace: Duration) {
        self.0.drain(grace).await;
    }
}

impl Inner {
    fn lease(&self) -> Lease {
        Lease { worker: self.config.worker.clone(), until: now_ms().saturating_add(ms(self.config.lease)) }
    }

    fn time_for(&self, cost: u64) -> Duration {
        lock(&self.rate).time_for(cost)
    }

    fn expires_at(&self, now: i64) -> i64 {
        now.saturating_add(ms(self.config.ttl))
    }

    async fn find_known(&self, submission: &Submission) -> Result<Option<Box<Job>>, Refusal> {
        let Some(idempotency) = &submission.idempotency else { return Ok(None) };
        let found = self.jobs.find_idempotent(&submission.owner, &idempotency.key).await.map_err(Refusal::Store)?;
        match found {
            Some((_, fingerprint)) if fingerprint != idempotency.fingerprint => Err(Refusal::Conflict),
            found => Ok(found.map(|(job, _)| Box::new(job))),
        }
    }

    /// Remember a job that is in the store, and let it wait for its turn. `generation` is None where its pixels are in the
    /// store, too.
    fn take_in(
        &self,
        job: Arc<Job>,
        (mut permit, share): (Permit, Share),
        generation: Option<CheckedGeneration>,
        request_id: String,
    ) -> (Subscription, CancellationToken) {
        let id = job.id;
        let events = self.feed.open(id, &job.owner);
        let cancel = CancellationToken::new();
        if generation.is_none() {
            permit.release_input();
        }
        let waiting = Waiting::of(&job);
        let cost = job.cost;
        let span = tracing::info_span!("job", job.id = %id, job.mode = job.mode.name());
        lock(&self.live).insert(
            id,
            Live { job, cancel: cancel.clone(), _permit: permit, _share: share, generation, request_id, span },
        );
        let (position, before) = self.enqueue(waiting);
        self.feed
            .publish(id, JobEvent::Queued { position, eta_ms: millis(self.time_for(before.saturating_add(cost))) });
        (events, cancel)
    }

    /// Let a job wait for its turn; how many and how much cost go before it.
    fn enqueue(&self, waiting: Waiting) -> (usize, u64) {
        let rate = lock(&self.rate).per_ms();
        let mut pending = lock(&self.pending);
        pending.push(waiting, rate);
        let place = pending.iter().enumerate().find(|(_, (other, _))| other.id == waiting.id);
        let place = place.map_or((0, 0), |(position, (_, before))| (position, before));
        self.wake.notify_one();
        place
    }

    /// Note a finished part of a job's cost.
    fn note_done(&self, cost: f64) {
        lock(&self.rate).done(cost, Instant::now());
    }

    async fn delete_files(&self, id: Uuid, prefix: &str) {
        if let Err(error) = self.blobs.delete(id, prefix).await {
            tracing::warn!(job.id = %id, %error, "files of a job could not be deleted");
        }
    }
}

/// ms, as clients are told.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
