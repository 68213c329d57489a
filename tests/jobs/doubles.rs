//! Stand-ins for what jobs work with, that fail when they are told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use kandinsky::diffusion::RowMemory;
use kandinsky::domain::{Failure, FailureKind, Image, JobState};
use kandinsky::engine::{Event, GenerationRequest, StageInfo, StageTimes};
use kandinsky::generation::ImageGenerator;
use kandinsky::modes::Generation;
use kandinsky::records::Job;
use kandinsky::store::{
    Announce, Backlog, BlobStore, CancelOutcome, Database, Delivery, DeliveryQuery, Idempotency, InsertOutcome, JobEnd,
    JobFilter, JobStore, KeptJobs, Lease, NewDelivery, NewJob, QueuedJob, RecoveryPolicy, RecoveryReport, StoreError,
    Suspect, Upkeep,
};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

/// What a worker does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Images of one pixel, at once.
    Draw,
    /// Nothing, until the request is dropped.
    Hold,
    Fail,
    /// The worker is lost.
    Lose,
    /// It is not taken: this was the last worker, and it does not come back.
    GiveUp,
    Panic,
}

static DENOISING: StageInfo = StageInfo {
    id: "decoder",
    title: "decoder",
    progress: (10.0, 95.0),
    batchable: true,
    exclusive: false,
    denoises: true,
    memory: RowMemory::Fixed(1),
};

/// Does with each request what its seed says.
pub struct Worker {
    acts: Box<dyn Fn(u64) -> Act + Send + Sync>,
    held: Mutex<Vec<UnboundedSender<Event>>>,
    is_given_up: AtomicBool,
    /// Seeds of the requests that came, in order.
    pub seeds: Mutex<Vec<u64>>,
}

impl Worker {
    pub fn new(acts: impl Fn(u64) -> Act + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            acts: Box::new(acts),
            held: Mutex::default(),
            is_given_up: AtomicBool::default(),
            seeds: Mutex::default(),
        })
    }

    /// Requests that are held and not dropped.
    pub fn holds(&self) -> usize {
        self.held.lock().iter().filter(|events| !events.is_closed()).count()
    }

    fn draw(generation: &Generation, events: &UnboundedSender<Event>) {
        let count = generation.common.n as usize;
        for index in 0..count {
            let image = Image::rgb(1, 1, vec![u8::try_from(index).unwrap(); 3]);
            let _ = events.send(Event::Image { index, image });
        }
        let _ = events.send(Event::Done(StageTimes::default()));
    }
}

impl ImageGenerator for Worker {
    fn model_name(&self) -> &'static str {
        "double"
    }

    fn native_size(&self) -> u32 {
        8
    }

    fn workers(&self) -> u32 {
        1
    }

    fn is_alive(&self) -> bool {
        !self.is_given_up.load(Ordering::SeqCst)
    }

    fn generate(&self, request: GenerationRequest) -> Result<UnboundedReceiver<Event>, Failure> {
        let seed = request.generation.common.seed;
        self.seeds.lock().push(seed);
        let (events, receiver) = unbounded_channel();
        let _ = events.send(Event::Started);
        match (self.acts)(seed) {
            Act::Draw => Self::draw(&request.generation, &events),
            Act::Hold => {
                let _ = events.send(Event::Progress { stage: &DENOISING, step: 1, steps: 2 });
                self.held.lock().push(events);
            }
            Act::Fail => drop(events.send(Event::Failed(Failure::new(FailureKind::Internal, "no")))),
            Act::Lose => drop(events.send(Event::Failed(Failure::new(FailureKind::Lost, "lost")))),
            Act::GiveUp => {
                self.is_given_up.store(true, Ordering::SeqCst);
                return Err(Failure::new(FailureKind::Unavailable, "no worker is left"));
            }
            Act::Panic => panic!("on purpose"),
        }
        Ok(receiver)
    }
}

/// Files in memory. Writing those whose names are in `failing` fails once each; while it is full, writing fails.
#[derive(Default)]
pub struct Files {
    pub is_full: AtomicBool,
    /// It is full from the next attempt to write on.
    pub fills_up: AtomicBool,
    pub failing: Mutex<Vec<String>>,
    /// Writing it never ends.
    pub hanging: Mutex<Option<String>>,
    /// Comes right after the next deletion.
    pub late: Mutex<Option<String>>,
    /// Jobs whose files cannot be deleted.
    pub undeletable: Mutex<Vec<Uuid>>,
    /// Attempts and successes by name.
    pub puts: Mutex<BTreeMap<String, (u32, u32)>>,
    stored: Mutex<BTreeMap<(Uuid, String), Vec<u8>>>,
}

impl Files {
    /// Of the files of a job.
    pub fn names(&self, job: Uuid) -> Vec<String> {
        let stored = self.stored.lock();
        stored.keys().filter(|(other, _)| *other == job).map(|(_, name)| name.clone()).collect()
    }
}

#[async_trait]
impl BlobStore for Files {
    async fn put(&self, job: Uuid, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        if self.hanging.lock().as_deref() == Some(name) {
            std::future::pending::<()>().await;
        }
        let mut puts = self.puts.lock();
        let (attempts, successes) = puts.entry(name.to_owned()).or_default();
        *attempts += 1;
        if self.fills_up.swap(false, Ordering::SeqCst) {
            self.is_full.store(true, Ordering::SeqCst);
        }
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Full("no space left".to_owned()));
        }
        let mut failing = self.failing.lock();
        if let Some(at) = failing.iter().position(|other| other == name) {
            failing.remove(at);
            return Err(StoreError::Unavailable("out of reach".to_owned()));
        }
        *successes += 1;
        self.stored.lock().insert((job, name.to_owned()), bytes);
        Ok(())
    }

    async fn get(&self, job: Uuid, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.stored.lock().get(&(job, name.to_owned())).cloned())
    }

    async fn list_jobs(&self) -> Result<Vec<Uuid>, StoreError> {
        let jobs: std::collections::BTreeSet<Uuid> = self.stored.lock().keys().map(|(job, _)| *job).collect();
        Ok(jobs.into_iter().collect())
    }

    async fn delete(&self, job: Uuid, prefix: &str) -> Result<(), StoreError> {
        if self.undeletable.lock().contains(&job) {
            return Err(StoreError::Unavailable("permission denied".to_owned()));
        }
        let mut stored = self.stored.lock();
        stored.retain(|(other, name), _| *other != job || !name.starts_with(prefix));
        if let Some(late) = self.late.lock().take() {
            stored.insert((job, late), vec![1]);
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Full("no space left".to_owned()));
        }
        Ok(())
    }
}

/// A store whose claims fail while they are told to, and which may be full but for what it holds in reserve.
pub struct Ledger {
    pub inner: Arc<dyn Database>,
    pub is_full: AtomicBool,
    /// Nothing is answered.
    pub is_away: AtomicBool,
    /// Extensions of leases that were answered.
    pub extensions: AtomicU32,
    pub fails_claims: AtomicBool,
    /// Jobs that are listed as queued are canceled before anyone can do something about them.
    pub cancels_listed: AtomicBool,
    /// The next job that is read never comes.
    pub hangs_once: AtomicBool,
    /// The next claim and the next end are made, and not answered.
    pub loses_claim: AtomicBool,
    pub loses_end: AtomicBool,
    pub claims: AtomicU32,
}

impl Ledger {
    pub fn new(inner: Arc<dyn Database>) -> Arc<Self> {
        let [is_full, is_away, fails_claims, cancels_listed, loses_claim, loses_end, hangs_once] =
            [(); 7].map(|()| AtomicBool::new(false));
        let [extensions, claims] = [(); 2].map(|()| AtomicU32::new(0));
        Arc::new(Self {
            inner,
            is_full,
            is_away,
            extensions,
            fails_claims,
            cancels_listed,
            hangs_once,
            loses_claim,
            loses_end,
            claims,
        })
    }

    fn check_room(&self) -> Result<(), StoreError> {
        self.check_reach()?;
        if self.is_full.load(Ordering::SeqCst) { Err(StoreError::Full("no room".to_owned())) } else { Ok(()) }
    }

    fn check_reach(&self) -> Result<(), StoreError> {
        let is_away = self.is_away.load(Ordering::SeqCst);
        if is_away { Err(StoreError::Unavailable("out of reach".to_owned())) } else { Ok(()) }
    }

    /// Jobs that have not ended.
    pub async fn in_flight(&self) -> usize {
        // In one query: a job may be claimed between two.
        let filter = JobFilter { limit: 1000, ..JobFilter::default() };
        let jobs = self.inner.list(&filter).await.unwrap();
        jobs.iter().filter(|job| matches!(job.state, JobState::Queued | JobState::Running)).count()
    }

    pub async fn state(&self, id: Uuid) -> JobState {
        self.inner.get(id).await.unwrap().unwrap().state
    }
}

/// What was done, or that its answer was lost.
fn lose<T>(is_lost: &AtomicBool, done: Result<T, StoreError>) -> Result<T, StoreError> {
    if is_lost.swap(false, Ordering::SeqCst) {
        Err(StoreError::Unavailable("connection reset".to_owned()))
    } else {
        done
    }
}

#[async_trait]
impl JobStore for Ledger {
    async fn insert_job(&self, new: NewJob<'_>) -> Result<InsertOutcome, StoreError> {
        self.check_room()?;
        self.inner.insert_job(new).await
    }

    async fn find_idempotent(&self, owner: &str, key: &str) -> Result<Option<(Job, String)>, StoreError> {
        self.inner.find_idempotent(owner, key).await
    }

    async fn get(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        if self.hangs_once.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.get(id).await
    }

    async fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        self.inner.list(filter).await
    }

    async fn list_queued(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<QueuedJob>, StoreError> {
        self.check_reach()?;
        let listed = self.inner.list_queued(after, limit).await?;
        if self.cancels_listed.load(Ordering::SeqCst) {
            for queued in &listed {
                self.inner.cancel(queued.id, &[], 1, i64::MAX).await?;
            }
        }
        Ok(listed)
    }

    async fn claim(&self, id: Uuid, lease: &Lease, now: i64) -> Result<Option<Job>, StoreError> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        if self.fails_claims.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("out of reach".to_owned()));
        }
        let claimed = self.inner.claim(id, lease, now).await;
        lose(&self.loses_claim, claimed)
    }

    async fn extend_leases(&self, lease: &Lease) -> Result<Vec<Uuid>, StoreError> {
        self.check_reach()?;
        let extended = self.inner.extend_leases(lease).await;
        self.extensions.fetch_add(1, Ordering::SeqCst);
        extended
    }

    async fn finish(&self, id: Uuid, epoch: i64, end: &JobEnd<'_>) -> Result<bool, StoreError> {
        self.check_room()?;
        let ended = self.inner.finish(id, epoch, end).await;
        lose(&self.loses_end, ended)
    }

    async fn release(&self, id: Uuid, epoch: i64, lost: bool) -> Result<bool, StoreError> {
        self.inner.release(id, epoch, lost).await
    }

    async fn cancel(
        &self,
        id: Uuid,
        deliveries: &[NewDelivery],
        now: i64,
        expires_at: i64,
    ) -> Result<CancelOutcome, StoreError> {
        self.check_room()?;
        self.inner.cancel(id, deliveries, now, expires_at).await
    }

    async fn recover(
        &self,
        before: i64,
        policy: &RecoveryPolicy,
        announce: &Announce<'_>,
    ) -> Result<RecoveryReport, StoreError> {
        self.check_room()?;
        self.inner.recover(before, policy, announce).await
    }

    async fn delete(&self, id: Uuid) -> Result<Option<JobState>, StoreError> {
        self.check_room()?;
        self.inner.delete(id).await
    }

    async fn list_expired(&self, now: i64, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        self.inner.list_expired(now, limit).await
    }

    async fn mark_purged(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        self.inner.mark_purged(ids).await
    }

    async fn delete_expired(&self, before: i64) -> Result<u64, StoreError> {
        self.inner.delete_expired(before).await
    }

    async fn lease_due_deliveries(&self, now: i64, lease_until: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.inner.lease_due_deliveries(now, lease_until, limit).await
    }

    async fn complete_delivery(&self, id: &str) -> Result<(), StoreError> {
        self.inner.complete_delivery(id).await
    }

    async fn postpone_delivery(&self, id: &str, due_at: Option<i64>) -> Result<(), StoreError> {
        self.inner.postpone_delivery(id, due_at).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check_reach()?;
        self.inner.ping().await
    }
}

#[async_trait]
impl Upkeep for Ledger {
    async fn note_suspects(&self, suspects: &[Suspect]) -> Result<(), StoreError> {
        self.inner.note_suspects(suspects).await
    }

    async fn list_claims(&self, worker: &str) -> Result<Vec<(Uuid, i64)>, StoreError> {
        self.check_reach()?;
        self.inner.list_claims(worker).await
    }

    async fn lease_deliveries(&self, query: &DeliveryQuery<'_>) -> Result<Vec<Delivery>, StoreError> {
        self.inner.lease_deliveries(query).await
    }

    async fn list_unwanted(&self, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        self.inner.list_unwanted(limit).await
    }

    async fn list_kept(&self) -> Result<Vec<KeptJobs>, StoreError> {
        self.inner.list_kept().await
    }

    async fn list_evictable(&self, owner: &str, limit: u32) -> Result<Vec<(Uuid, u64)>, StoreError> {
        self.inner.list_evictable(owner, limit).await
    }

    async fn forget_canceled(&self, now: i64) -> Result<u64, StoreError> {
        self.inner.forget_canceled(now).await
    }

    async fn free_key(&self, id: Uuid) -> Result<(), StoreError> {
        self.inner.free_key(id).await
    }

    async fn list_unknown(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        self.inner.list_unknown(ids).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.inner.backlog().await
    }

    async fn held_by(&self, owner: &str) -> Result<(u64, u64), StoreError> {
        self.inner.held_by(owner).await
    }

    async fn now_us(&self) -> Result<i64, StoreError> {
        self.inner.now_us().await
    }

    async fn oldest_job(&self) -> Result<Option<Uuid>, StoreError> {
        self.inner.oldest_job().await
    }

    async fn make_room(&self) -> bool {
        // What it gives up lasts for what comes next.
        self.is_full.store(false, Ordering::SeqCst);
        true
    }

    async fn restore_room(&self) -> Result<(), StoreError> {
        self.check_room()
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.inner.scrub().await
    }
}

/// The key that makes a repetition known.
pub fn idempotency(key: &str) -> Idempotency {
    Idempotency { key: key.to_owned(), fingerprint: "same".to_owned() }
}
