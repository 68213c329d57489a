//! A process that takes requests and one that works, with nothing between them but a broker and the stores: what jobs need
//! of a broker that reaches other machines is in the trait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kandinsky::broker::{
    Broker, BrokerError, Claim, Claimed, EventBus, LocalBroker, LocalConfig, Place, QueuedWork, Release, Room,
};
use kandinsky::clock::ManualClock;
use kandinsky::domain::JobState;
use kandinsky::jobs::{Accepted, JobService};
use kandinsky::store::{self, JobEnd, JobStore as _, Lease};
use parking_lot::Mutex;
use tempfile::TempDir;
use uuid::Uuid;

use crate::doubles::{Act, Files, Ledger, Worker};
use crate::service::{backends, config, ended, eventually, outcome, running, start_service, submission};

/// One end of a line that several processes share.
struct Shared {
    line: Arc<LocalBroker>,
    /// Whether this process claims jobs.
    works: bool,
    /// Jobs of which this process knows nothing any more.
    forgotten: Arc<Mutex<Vec<Uuid>>>,
}

#[async_trait]
impl Broker for Shared {
    fn events(&self) -> &dyn EventBus {
        self.line.events()
    }

    fn shares_memory(&self) -> bool {
        false
    }

    fn place_for(&self, work: &QueuedWork) -> Place {
        self.line.place_for(work)
    }

    async fn publish(&self, work: QueuedWork) -> Result<(), BrokerError> {
        self.line.publish(work).await
    }

    fn places(&self) -> Vec<Place> {
        self.line.places()
    }

    async fn claim(&self, room: Room) -> Result<Option<Claimed>, BrokerError> {
        if self.works { self.line.claim(room).await } else { Ok(None) }
    }

    async fn work_available(&self) {
        if self.works {
            self.line.work_available().await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    fn lease(&self) -> Lease {
        self.line.lease()
    }

    fn extension_interval(&self) -> Duration {
        self.line.extension_interval()
    }

    async fn extend(&self) -> Result<(), BrokerError> {
        self.line.extend().await
    }

    async fn acknowledge(&self, claim: &Claim, end: &JobEnd<'_>) -> Result<bool, BrokerError> {
        self.line.acknowledge(claim, end).await
    }

    async fn release(&self, claim: &Claim, release: Release) -> Result<bool, BrokerError> {
        self.line.release(claim, release).await
    }

    fn cancel(&self, job: Uuid) {
        self.line.cancel(job);
    }

    fn forget(&self, job: Uuid) {
        self.forgotten.lock().push(job);
        self.line.forget(job);
    }

    fn close(&self) -> Vec<Uuid> {
        self.line.close()
    }
}

struct Fleet {
    /// Takes requests, one at a time, and works on none.
    front: JobService,
    ledger: Arc<Ledger>,
    worker: Arc<Worker>,
    /// By the process that works.
    forgotten: Arc<Mutex<Vec<Uuid>>>,
    _back: JobService,
    _folder: TempDir,
}

impl Fleet {
    async fn start(worker: Arc<Worker>) -> Self {
        Self::with_lease(worker, Duration::from_mins(1)).await
    }

    async fn with_lease(worker: Arc<Worker>, lease: Duration) -> Self {
        let folder = TempDir::new().unwrap();
        let ledger = Ledger::new(store::open_sqlite(&folder.path().join("jobs.sqlite")).await.unwrap());
        let (files, clock) = (Arc::new(Files::default()), Arc::new(ManualClock::default()));
        let local = LocalConfig { process: "fleet".to_owned(), lease };
        let line = Arc::new(LocalBroker::new(local, ledger.clone(), clock.clone()));
        let forgotten = [(); 2].map(|()| Arc::<Mutex<Vec<Uuid>>>::default());
        let service = async |works: bool, worker: &Arc<Worker>| {
            let mut config = config(clock.clone());
            config.capacity.jobs = 1;
            // What is claimed here is looked for in the store.
            config.exclusive = !works;
            let end = Arc::new(Shared { line: line.clone(), works, forgotten: forgotten[usize::from(works)].clone() });
            start_service(config, backends(end, &ledger, &files, worker)).await
        };
        let front = service(false, &Worker::new(|_| Act::Panic)).await;
        let back = service(true, &worker).await;
        let [_, forgotten] = forgotten;
        Self { front, ledger, worker, forgotten, _back: back, _folder: folder }
    }

    async fn has_room(&self) -> bool {
        // Each attempt that succeeds is a job, which is deleted again.
        match self.front.submit(submission(0, true)).await {
            Ok(Accepted::New(accepted)) => self.front.delete(&accepted.job).await.unwrap(),
            Ok(Accepted::Known(_)) | Err(_) => false,
        }
    }
}

#[tokio::test]
async fn jobs_are_done_by_another_process_and_give_back_their_room() {
    let fleet = Fleet::start(Worker::new(|seed| if seed == 0 { Act::Hold } else { Act::Draw })).await;
    for seed in [1, 2] {
        for durable in [true, false] {
            let Ok(Accepted::New(accepted)) = fleet.front.submit(submission(seed, durable)).await else {
                panic!("there is no room for job {seed}");
            };
            assert_eq!(outcome(accepted.events).await, JobState::Succeeded);
            drop(accepted.attached);
            eventually(async || fleet.has_room().await).await;
        }
    }
    let seeds: Vec<u64> = fleet.worker.seeds.lock().iter().copied().filter(|seed| *seed > 0).collect();
    assert_eq!(seeds, [1, 1, 2, 2]);
}

#[tokio::test]
async fn cancellation_reaches_the_process_that_works() {
    let fleet = Fleet::start(Worker::new(|_| Act::Hold)).await;
    let Ok(Accepted::New(mut accepted)) = fleet.front.submit(submission(1, false)).await else { panic!("no room") };
    running(&mut accepted.events).await;
    // Its caller hangs up.
    drop(accepted.attached);
    assert_eq!(ended(&mut accepted.events).await.state, JobState::Canceled);
    assert_eq!(fleet.ledger.state(accepted.job.id).await, JobState::Canceled);
    eventually(async || fleet.worker.holds() == 0).await;
}

#[tokio::test]
async fn a_worker_forgets_a_job_that_another_process_has_taken() {
    let fleet = Fleet::with_lease(Worker::new(|_| Act::Hold), Duration::from_millis(150)).await;
    let Ok(Accepted::New(mut accepted)) = fleet.front.submit(submission(1, true)).await else { panic!("no room") };
    running(&mut accepted.events).await;
    let id = accepted.job.id;
    // Another one thought that this one was dead.
    assert!(fleet.ledger.release(id, 1, false).await.unwrap());
    let theirs = Lease { worker: "another".to_owned(), until: i64::MAX };
    assert!(fleet.ledger.claim(id, &theirs, 1).await.unwrap().is_some());
    eventually(async || fleet.forgotten.lock().contains(&id)).await;
    assert_eq!((fleet.ledger.state(id).await, fleet.worker.holds()), (JobState::Running, 0));
}
