//! A job service on doubles, and its metrics.

use std::sync::Arc;
use std::time::Duration;

use kandinsky::broker::{Broker, LocalBroker, LocalConfig};
use kandinsky::clock::{Clock, ManualClock};
use kandinsky::domain::{Common, JobState, Limits, Output, Priority};
use kandinsky::imaging::Encoder;
use kandinsky::jobs::{
    Accepted, AcceptedJob, Allowance, Capacity, JobBackends, JobEvent, JobService, JobsConfig, KeptBound, Role,
    Submission, Subscription,
};
use kandinsky::journal::Journal;
use kandinsky::metrics::{Described, Kind};
use kandinsky::modes::{Generation, TextToImage};
use kandinsky::records::{Job, JobSpec};
use kandinsky::store;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tempfile::TempDir;

use crate::doubles::{Files, Ledger, Worker};

/// What nothing in these tests takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A service, and what it works with.
pub struct World {
    pub jobs: JobService,
    pub ledger: Arc<Ledger>,
    pub files: Arc<Files>,
    pub worker: Arc<Worker>,
    pub clock: Arc<ManualClock>,
    folder: Arc<TempDir>,
}

impl World {
    /// One image at a time.
    pub async fn start(worker: Arc<Worker>) -> Self {
        Self::with(worker, |_| {}).await
    }

    /// With another configuration.
    pub async fn with(worker: Arc<Worker>, change: impl FnOnce(&mut JobsConfig)) -> Self {
        Self::with_lease(worker, Duration::from_mins(1), change).await
    }

    /// With leases that last so long.
    pub async fn with_lease(worker: Arc<Worker>, lease: Duration, change: impl FnOnce(&mut JobsConfig)) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        let inner = store::open_sqlite(&folder.path().join("jobs.sqlite")).await.unwrap();
        let (ledger, files) = (Ledger::new(inner), Arc::new(Files::default()));
        let clock = Arc::new(ManualClock::default());
        let mut config = config(clock.clone());
        change(&mut config);
        let local = LocalConfig { process: "first".to_owned(), lease };
        let broker = Arc::new(LocalBroker::new(local, ledger.clone(), clock.clone()));
        let jobs = start_service(config, backends(broker, &ledger, &files, &worker));
        Self { jobs: jobs.await, ledger, files, worker, clock, folder }
    }

    /// The next process on the same stores, as if this one had died without a word: nothing of it is told to stop.
    pub async fn restart(&self, worker: Arc<Worker>) -> Self {
        self.restart_with(worker, |_| {}).await
    }

    /// The same with another configuration.
    pub async fn restart_with(&self, worker: Arc<Worker>, change: impl FnOnce(&mut JobsConfig)) -> Self {
        let (ledger, files, clock) = (self.ledger.clone(), self.files.clone(), self.clock.clone());
        let mut config = config(clock.clone());
        change(&mut config);
        let jobs = start_service(config, backends(broker("second", &ledger, clock.clone()), &ledger, &files, &worker));
        Self { jobs: jobs.await, ledger, files, worker, clock, folder: self.folder.clone() }
    }

    pub async fn submit(&self, submission: Submission) -> AcceptedJob {
        match self.jobs.submit(submission).await.unwrap() {
            Accepted::New(accepted) => accepted,
            Accepted::Known(job) => panic!("{} is known", job.id),
        }
    }

    /// Submit a durable job.
    pub async fn queue_up(&self, seed: u64) -> AcceptedJob {
        self.submit(submission(seed, true)).await
    }

    /// Submit a job that ends with its connection.
    pub async fn attach(&self, seed: u64) -> AcceptedJob {
        self.submit(submission(seed, false)).await
    }
}

/// A broker of a process of this name, with leases of a minute.
pub fn broker(process: &str, ledger: &Arc<Ledger>, clock: Arc<dyn Clock>) -> Arc<dyn Broker> {
    let local = LocalConfig { process: process.to_owned(), lease: Duration::from_mins(1) };
    Arc::new(LocalBroker::new(local, ledger.clone(), clock))
}

/// What a service works with, without webhooks.
pub fn backends(
    broker: Arc<dyn Broker>,
    ledger: &Arc<Ledger>,
    files: &Arc<Files>,
    worker: &Arc<Worker>,
) -> JobBackends {
    let (generator, store, blobs) = (worker.clone(), ledger.clone(), files.clone());
    JobBackends { generator, broker, store, blobs, webhooks: None }
}

pub async fn start_service(config: JobsConfig, backends: JobBackends) -> JobService {
    JobService::start(config, backends).await.unwrap()
}

/// One image at a time, for the only process on its stores.
pub fn config(clock: Arc<dyn Clock>) -> JobsConfig {
    JobsConfig {
        role: Role::Server,
        capacity: Capacity { jobs: 1000, cost: u64::MAX, input_bytes: 1 << 20, working_bytes: 1 << 30 },
        max_images_in_flight: 2,
        most_losses: 2,
        most_unexplained_losses: 2,
        owner_share: 1.0,
        most_kept: KeptBound { jobs: 1000, bytes: 1 << 30 },
        journal: Journal::default(),
        ttl: Duration::from_hours(1),
        forget_after: Duration::from_hours(1),
        clean_interval: Duration::from_hours(1),
        public_url: String::new(),
        exclusive: true,
        encoder: Arc::new(Encoder::new(true, None)),
        output_moderation: None,
        clock,
    }
}

/// Two images, so that each job takes all the room there is.
pub fn submission(seed: u64, durable: bool) -> Submission {
    let input = TextToImage { prompt: "a".to_owned() }.into();
    let common = Common { seed, n: 2, steps: 1, ..Common::default() };
    let spec = JobSpec {
        generation: Generation { input, common }.check(&Limits::UNBOUNDED, None).unwrap(),
        output: Output::default(),
        priority: Priority::Normal,
        preview_interval: 0,
        webhook: None,
        style: None,
        findings: Vec::new(),
        warnings: Vec::new(),
        translations: Vec::new(),
        translate: None,
        moderation_policy: None,
        parameters: "{}".to_owned(),
    };
    let (owner, allowance) = (String::new(), Allowance::default());
    Submission { spec, owner, allowance, durable, idempotency: None, request_id: String::new() }
}

/// Wait for the event that a job runs.
pub async fn running(events: &mut Subscription) {
    let wait = async {
        while let Some(event) = events.next().await {
            if matches!(event.event, JobEvent::Progress { .. }) {
                return;
            }
        }
        panic!("it ended before it ran");
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it does not run");
}

/// Wait for a job's end.
pub async fn ended(events: &mut Subscription) -> Arc<Job> {
    let wait = async {
        while let Some(event) = events.next().await {
            if let JobEvent::Ended { job, .. } = &event.event {
                return job.clone();
            }
        }
        panic!("its log was closed without an end");
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it does not end")
}

/// Wait for a job's end, and say how it ended.
pub async fn outcome(mut events: Subscription) -> JobState {
    ended(&mut events).await.state
}

/// Wait until this holds.
pub async fn eventually(holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it never holds");
}

/// A recorder for this thread, where a test's tasks run.
pub struct Meter {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Meter {
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        Self { recorder, handle }
    }

    /// Record on this thread while the result lives.
    pub fn install(&self) -> metrics::LocalRecorderGuard<'_> {
        metrics::set_default_local_recorder(&self.recorder)
    }

    /// The sum of a metric over all labels that contain `label`; of histograms, the number of values.
    pub fn total(&self, metric: &dyn Described, label: &str) -> usize {
        let text = self.handle.render();
        let suffix = if matches!(metric.kind(), Kind::Histogram(_)) { "_count" } else { "" };
        let name = format!("{}{suffix}", metric.name());
        let lines = text.lines().filter(|line| line.split([' ', '{']).next() == Some(&name) && line.contains(label));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }
}
