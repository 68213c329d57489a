//! The broker of one process: jobs wait in its memory, leases and epochs are in the store.
//!
//! Invariant: a job that was published here waits, or is claimed, until it is forgotten; after a claim that failed it waits
//! again where it did before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::feed::Feed;
use super::line::Line;
use super::traits::{Broker, BrokerError, Claim, Claimed, EventBus, Place, QueuedWork, Release, Room};
use crate::clock::Clock;
use crate::metrics;
use crate::store::{JobEnd, JobStore, Lease};

/// Leases are extended this often while they last.
const EXTENSIONS_PER_LEASE: u32 = 3;
const SHORTEST_EXTENSION_INTERVAL: Duration = Duration::from_millis(50);

/// Who this process is to others that share the store.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Its name, unique among them.
    pub process: String,
    /// Once it has not extended its leases for this long, others recover its jobs.
    pub lease: Duration,
}

/// Brings jobs to workers in the same process.
pub struct LocalBroker {
    config: LocalConfig,
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    feed: Feed,
    line: Mutex<Line>,
    available: Notify,
}

impl LocalBroker {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(config: LocalConfig, store: Arc<dyn JobStore>, clock: Arc<dyn Clock>) -> Self {
        let feed = Feed::new(clock.clone());
        Self { config, store, clock, feed, line: Mutex::default(), available: Notify::new() }
    }
}

#[async_trait]
impl Broker for LocalBroker {
    fn events(&self) -> &dyn EventBus {
        &self.feed
    }

    fn shares_memory(&self) -> bool {
        true
    }

    fn place_for(&self, work: &QueuedWork) -> Place {
        self.line.lock().place_for(work)
    }

    async fn publish(&self, work: QueuedWork) -> Result<(), BrokerError> {
        if !self.line.lock().push(work) {
            let message = "the process is about to stop".to_owned();
            return Err(BrokerError { message, is_full: false });
        }
        self.available.notify_one();
        Ok(())
    }

    fn places(&self) -> Vec<Place> {
        self.line.lock().places()
    }

    async fn claim(&self, room: Room) -> Result<Option<Claimed>, BrokerError> {
        let Some((id, cancel)) = self.line.lock().take_first(room) else { return Ok(None) };
        let started = Instant::now();
        let claimed = self.store.claim(id, &self.lease(), self.clock.now_ms()).await;
        metrics::STORE_DURATION.record_since(started, ["claim"]);
        match claimed {
            Ok(Some(job)) => Ok(Some(Claimed::Job(Claim { job: Arc::new(job), cancel, span: tracing::Span::none() }))),
            Err(error) if self.line.lock().put_back(id) => Err(error.into()),
            Ok(None) | Err(_) => Ok(Some(Claimed::Gone(id))),
        }
    }

    async fn work_available(&self) {
        self.available.notified().await;
    }

    fn lease(&self) -> Lease {
        let lease_ms = i64::try_from(self.config.lease.as_millis()).unwrap_or(i64::MAX);
        Lease { worker: self.config.process.clone(), until: self.clock.now_ms().saturating_add(lease_ms) }
    }

    fn extension_interval(&self) -> Duration {
        (self.config.lease / EXTENSIONS_PER_LEASE).max(SHORTEST_EXTENSION_INTERVAL)
    }

    async fn extend(&self) -> Result<(), BrokerError> {
        for job in self.store.extend_leases(&self.lease()).await? {
            self.cancel(job);
        }
        Ok(())
    }

    async fn acknowledge(&self, claim: &Claim, end: &JobEnd<'_>) -> Result<bool, BrokerError> {
        let started = Instant::now();
        let ended = self.store.finish(claim.job.id, claim.job.epoch, end).await;
        metrics::STORE_DURATION.record_since(started, ["finish"]);
        Ok(ended?)
    }

    async fn release(&self, claim: &Claim, release: Release) -> Result<bool, BrokerError> {
        let id = claim.job.id;
        let released = self.store.release(id, claim.job.epoch, release == Release::Lost).await?;
        if released && self.line.lock().put_back(id) {
            self.available.notify_one();
        }
        Ok(released)
    }

    fn cancel(&self, job: Uuid) {
        self.line.lock().cancel(job);
    }

    fn forget(&self, job: Uuid) {
        self.line.lock().remove(job);
        // What is first in line now may fit where that one did not.
        self.available.notify_one();
    }

    fn close(&self) -> Vec<Uuid> {
        self.line.lock().close()
    }
}
