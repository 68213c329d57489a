//! The handle on all jobs: what callers may ask, each verb in a file of its own.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use super::api::{Accepted, Refusal, Submission};
use super::config::{JobBackends, JobsConfig};
use super::gate::StorageGate;
use super::policy::{Admission, Owners};
use super::state::{InFlight, State};
use super::tally::Tally;
use super::{blame, drain, inputs, lease, progress, report, retain, unwanted, webhooks, worker};
use crate::broker::Subscription;
use crate::fair::FairRoom;
use crate::metrics;
use crate::records::Job;
use crate::store::{CancelOutcome, JobFilter, StoreError};

/// All jobs of a server. Cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// #
/// # use kandinsky::broker::{LocalBroker, LocalConfig};
/// # use kandinsky::clock::SystemClock;
/// # use kandinsky::domain::{Common, Failure, Image, JobState, Limits, Output, Priority};
/// # use kandinsky::engine::{Event, GenerationRequest, StageTimes};
/// # use kandinsky::generation::ImageGenerator;
/// # use kandinsky::imaging::Encoder;
/// # use kandinsky::journal::Journal;
/// # use kandinsky::jobs::{
/// #     Accepted, Allowance, Capacity, JobBackends, JobEvent, JobService, JobsConfig, KeptBound, Role, Submission,
/// # };
/// # use kandinsky::modes::{Generation, TextToImage};
/// # use kandinsky::records::JobSpec;
/// # use kandinsky::store;
/// # use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
/// #
/// /// Stands for the engine: every image is one gray pixel.
/// struct Painter;
///
/// impl ImageGenerator for Painter {
///     fn model_name(&self) -> &str {
///         "painter"
///     }
///
///     fn native_size(&self) -> u32 {
///         1
///     }
///
///     fn workers(&self) -> u32 {
///         1
///     }
///
///     fn generate(&self, _: GenerationRequest) -> Result<UnboundedReceiver<Event>, Failure> {
///         let (events, receiver) = unbounded_channel();
///         let _ = events.send(Event::Image { index: 0, image: Image::rgb(1, 1, vec![128; 3]) });
///         let _ = events.send(Event::Done(StageTimes::default()));
///         Ok(receiver)
///     }
/// }
///
/// #[tokio::main]
/// async fn main() {
///     let folder = tempfile::tempdir().unwrap();
///     let store = store::open_sqlite(&folder.path().join("jobs.sqlite")).await.unwrap();
///     let (blobs, clock) = (store::open_local(folder.path()).unwrap(), Arc::new(SystemClock));
///     let local = LocalConfig { process: "example".to_owned(), lease: Duration::from_secs(30) };
///     let broker = Arc::new(LocalBroker::new(local, store.clone(), clock.clone()));
///     let config = JobsConfig {
///         role: Role::Server,
///         capacity: Capacity { jobs: 10, cost: 1 << 30, input_bytes: 1 << 20, working_bytes: 1 << 30 },
///         max_images_in_flight: 4,
///         most_losses: 3,
///         most_unexplained_losses: 90,
///         owner_share: 0.5,
///         most_kept: KeptBound { jobs: 1000, bytes: 1 << 20 },
///         journal: Journal::default(),
///         ttl: Duration::from_hours(1),
///         forget_after: Duration::from_hours(24),
///         clean_interval: Duration::from_mins(1),
///         public_url: String::new(),
///         exclusive: true,
///         encoder: Arc::new(Encoder::new(false, None)),
///         output_moderation: None,
///         clock,
///     };
///     let backends = JobBackends { generator: Arc::new(Painter), broker, store, blobs, webhooks: None };
///     let jobs = JobService::start(config, backends).await.unwrap();
///
///     let generation = Generation { input: TextToImage { prompt: "fog".to_owned() }.into(), common: Common::default() };
///     let spec = JobSpec {
///         generation: generation.check(&Limits::UNBOUNDED, None).unwrap(),
///         output: Output::default(),
///         priority: Priority::Normal,
///         preview_interval: 0,
///         webhook: None,
///         style: None,
///         findings: Vec::new(),
///         warnings: Vec::new(),
///         translations: Vec::new(),
///         translate: None,
///         moderation_policy: None,
///         parameters: "{}".to_owned(),
///     };
///     let submission = Submission {
///         spec,
///         owner: String::new(),
///         allowance: Allowance::default(),
///         durable: true,
///         idempotency: None,
///         request_id: String::new(),
///     };
///     let Ok(Accepted::New(mut accepted)) = jobs.submit(submission).await else { panic!("it is full, or knows the job") };
///     let job = loop {
///         let event = accepted.events.next().await.unwrap();
///         if let JobEvent::Ended { job, .. } = &event.event {
///             break job.clone();
///         }
///     };
///     assert_eq!(job.state, JobState::Succeeded);
///     assert!(jobs.file(&job, 0).await.unwrap().is_some());
///     jobs.drain(Duration::ZERO).await;
/// }
/// ```
#[derive(Clone)]
pub struct JobService(Arc<State>);

impl JobService {
    /// Recover what an earlier process left, and start working.
    pub async fn start(config: JobsConfig, backends: JobBackends) -> Result<Self, StoreError> {
        let JobBackends { generator, broker, store, blobs, webhooks } = backends;
        let left = config.journal.take_previous();
        let state = Arc::new(State {
            admission: Admission::new(config.capacity),
            working: FairRoom::new(config.capacity.working_bytes),
            config,
            generator,
            broker,
            store,
            blobs,
            owners: Owners::default(),
            rate: Mutex::default(),
            fleet_speed: Mutex::default(),
            tally: Tally::default(),
            live: Mutex::default(),
            in_flight: Arc::new(InFlight::default()),
            claims: Mutex::default(),
            storage: StorageGate::default(),
            left_is_explained: left.as_ref().is_some_and(|left| !left.is_empty()),
            left_suspects: Mutex::new(blame::suspects(left.as_deref().unwrap_or_default())),
            has_recovered: false.into(),
            undeleted: Mutex::default(),
            deleted: Notify::new(),
            outbox: Notify::new(),
            is_draining: false.into(),
            stop: CancellationToken::new(),
            closed: CancellationToken::new(),
            submissions: TaskTracker::new(),
            open_jobs: TaskTracker::new(),
            runs: TaskTracker::new(),
            loops: TaskTracker::new(),
        });
        // Where several processes share the store, others may be running what looks lost: see `lease`.
        if state.config.exclusive {
            match state.recover_left().await {
                // On a full disk it starts all the same, so that it can clean.
                Err(error @ (StoreError::Full(_) | StoreError::Unavailable(_))) => {
                    tracing::error!(%error, "what the last process left is recovered later");
                    state.storage.close(0);
                }
                recovered => recovered?,
            }
        }
        state.requeue_forgotten().await?;
        let role = state.config.role;
        if role.works() {
            state.runs.spawn(worker::claim_jobs(state.clone()));
        }
        state.loops.spawn(progress::report_places(state.clone()));
        state.loops.spawn(lease::extend_leases(state.clone()));
        state.loops.spawn(report::report_regularly(state.clone()));
        if role.accepts() {
            state.loops.spawn(retain::delete_expired(state.clone()));
            state.loops.spawn(retain::scrub_deleted(state.clone()));
            state.loops.spawn(unwanted::cancel_unwanted(state.clone()));
        }
        if let Some((config, transport)) = webhooks {
            state.loops.spawn(webhooks::deliver(state.clone(), config, transport));
        }
        Ok(Self(state))
    }

    /// Accept a checked request.
    pub async fn submit(&self, submission: Submission) -> Result<Accepted, Refusal> {
        // A client that hangs up ends its handler at any point; a job that is half accepted would stay so.
        let state = self.0.clone();
        let accepting = async move { state.accept(submission).await };
        let accepted = match self.0.submissions.spawn(accepting.in_current_span()).await {
            Ok(accepted) => accepted,
            Err(error) => Err(Refusal::Store(StoreError::Failed(error.to_string()))),
        };
        if let Err(refusal) = &accepted {
            metrics::JOBS_REJECTED.add(1, [refusal.reason()]);
        }
        accepted
    }

    /// A job, whatever its state.
    pub async fn get(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        self.0.store.get(id).await
    }

    /// Newest first.
    pub async fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        self.0.store.list(filter).await
    }

    /// The file of a finished image.
    pub async fn file(&self, job: &Job, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        match job.images.iter().find(|image| image.index == index) {
            Some(image) => inputs::read_result(&*self.0.blobs, job, image).await,
            None => Ok(None),
        }
    }

    /// Listen to a job from the event after number `after` on. `None` if it has ended, or another process runs it.
    #[must_use]
    pub fn events(&self, id: Uuid, after: u64) -> Option<Subscription> {
        self.0.broker.events().watch(id, after)
    }

    /// Listen to all jobs of an owner (`None`: of all owners), from the event after number `after` on; without it, from now
    /// on.
    #[must_use]
    pub fn owner_events(&self, owner: Option<&str>, after: Option<u64>) -> Subscription {
        self.0.broker.events().watch_owner(owner, after)
    }

    /// Cancel a job: at once if it waits, at its next step if it runs.
    pub async fn cancel(&self, job: &Job) -> Result<CancelOutcome, StoreError> {
        self.0.cancel_job(job).await
    }

    /// Cancel a job if it has not ended, and delete it with its files. False if it was unknown.
    pub async fn delete(&self, job: &Job) -> Result<bool, StoreError> {
        let (state, job) = (self.0.clone(), job.clone());
        // A client that hangs up in between must not leave files that no job refers to.
        tokio::spawn(async move { state.delete_job(&job).await }.in_current_span())
            .await
            .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }

    /// Whether a job and its images have expired.
    #[must_use]
    pub fn is_expired(&self, job: &Job) -> bool {
        job.expires_at.is_some_and(|at| at <= self.0.now_ms())
    }

    /// Whether new requests are rejected because the server is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_draining()
    }

    /// Whether the stores of jobs and files answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.0.check_storage().await
    }

    /// Publish what is waiting and running as metrics.
    pub fn measure(&self) {
        let state = &self.0;
        let (waiting, running) = if state.broker.shares_memory() {
            let waiting = state.broker.places().len() as u64;
            (waiting, state.admission.jobs().saturating_sub(waiting))
        } else {
            // What waits belongs to no process; see the metrics of fleets.
            (0, state.claims.lock().len() as u64)
        };
        metrics::JOBS_QUEUED.set(waiting, []);
        metrics::JOBS_RUNNING.set(running, []);
        state.measure_fleet();
        metrics::QUEUE_COST.set(state.admission.cost(), []);
        metrics::QUEUE_COST_LIMIT.set(state.config.capacity.cost, []);
    }

    /// Stop accepting, give what runs this long to end, requeue the rest.
    pub async fn drain(&self, grace: Duration) {
        drain::drain(&self.0, grace).await;
    }
}
