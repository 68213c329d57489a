//! What the verbs of the jobs room share.
//!
//! Invariant: a job is live from its acceptance here until it ends or leaves this process, and holds its share of the
//! bounds that long.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

use super::config::JobsConfig;
use super::gate::StorageGate;
use super::policy::{Admission, CapacityPermit, OwnerPermit, Owners, Rate, Speed};
use super::tally::Tally;
use crate::broker::{Broker, JobEvent, Place, Room};
use crate::fair::FairRoom;
use crate::generation::ImageGenerator;
use crate::modes::CheckedGeneration;
use crate::store::{BlobStore, JobStore, Suspect};

/// What is known here of a job that has not ended.
pub(super) struct LiveJob {
    /// `None`: in the store, to be read when its turn comes.
    pub(super) inputs: Option<CheckedGeneration>,
    pub(super) request_id: String,
    /// Within the request's, if there is one.
    pub(super) span: tracing::Span,
    pub(super) _capacity: CapacityPermit,
    pub(super) _owner: OwnerPermit,
    pub(super) _open: TaskTrackerToken,
}

/// See the module.
pub(super) struct State {
    pub(super) config: JobsConfig,
    pub(super) generator: Arc<dyn ImageGenerator>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) store: Arc<dyn JobStore>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) admission: Admission,
    pub(super) working: FairRoom<Arc<str>>,
    pub(super) owners: Owners,
    pub(super) rate: Mutex<Rate>,
    /// `None`: this process does all the work.
    pub(super) fleet_speed: Mutex<Option<Speed>>,
    pub(super) tally: Tally,
    pub(super) live: Mutex<HashMap<Uuid, LiveJob>>,
    pub(super) in_flight: Arc<InFlight>,
    /// Claims that are executed here: their epochs, and what cancels them.
    pub(super) claims: Mutex<HashMap<Uuid, (i64, CancellationToken)>>,
    pub(super) storage: StorageGate,
    /// Jobs that the last process died with, until the store knows.
    pub(super) left_suspects: Mutex<Vec<Suspect>>,
    /// Whether it is known what the last process executed when it died.
    pub(super) left_is_explained: bool,
    /// Whether what the last process left is back in the queue; only where no other process recovers it.
    pub(super) has_recovered: AtomicBool,
    /// Jobs whose files could not be deleted.
    pub(super) undeleted: Mutex<Vec<Uuid>>,
    /// Something was deleted that is still in the database's log.
    pub(super) deleted: Notify,
    /// There may be a delivery.
    pub(super) outbox: Notify,
    pub(super) is_draining: AtomicBool,
    /// Interrupts what runs, at its next step.
    pub(super) stop: CancellationToken,
    /// Ends the loops.
    pub(super) closed: CancellationToken,
    /// Submissions under way.
    pub(super) submissions: TaskTracker,
    /// Jobs that are live.
    pub(super) open_jobs: TaskTracker,
    /// Claims being executed, and the loop that starts them.
    pub(super) runs: TaskTracker,
    pub(super) loops: TaskTracker,
}

impl State {
    pub(super) fn now_ms(&self) -> i64 {
        self.config.clock.now_ms()
    }

    pub(super) fn expires_at(&self, finished_at: i64) -> i64 {
        finished_at.saturating_add(i64::try_from(self.config.ttl.as_millis()).unwrap_or(i64::MAX))
    }

    /// How fast work gets done at present.
    pub(super) fn speed(&self) -> Speed {
        let fleet = *self.fleet_speed.lock();
        fleet.unwrap_or_else(|| Speed::of_process(self.rate.lock().per_ms()))
    }

    /// How long it takes until this much cost is done of what waits.
    pub(super) fn time_for(&self, cost: u64) -> Duration {
        self.speed().time_for(cost)
    }

    /// The event that tells a waiting job its place.
    pub(super) fn queued_event(&self, place: &Place) -> JobEvent {
        let eta = self.speed().time_until(place.cost_before, place.cost);
        JobEvent::Queued { position: place.position, eta_ms: millis(eta) }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    pub(super) fn is_live(&self, id: Uuid) -> bool {
        self.live.lock().contains_key(&id)
    }

    /// Drop what is known here of a job, and give back its share of the bounds.
    pub(super) fn remove_live(&self, id: Uuid) {
        // The permits take locks of their own.
        let removed = self.live.lock().remove(&id);
        drop(removed);
        self.broker.forget(id);
    }

    /// Drop what is known here of a claim that is over, unless the job was accepted here.
    pub(super) fn forget_elsewhere(&self, id: Uuid) {
        if !self.broker.shares_memory() && !self.is_live(id) {
            self.broker.forget(id);
        }
    }

    /// Have nothing more to do with a job that goes on elsewhere, or later.
    pub(super) fn abandon_job(&self, id: Uuid) {
        self.remove_live(id);
        self.broker.events().close(id);
    }

    pub(super) async fn delete_files(&self, id: Uuid, prefix: &str) {
        if let Err(error) = self.blobs.delete(id, prefix).await {
            tracing::warn!(job.id = %id, %error, "files of a job could not be deleted; trying again later");
            if prefix.is_empty() {
                self.undeleted.lock().push(id);
            }
        }
    }

    /// Images that the workers take at most.
    pub(super) fn total_room(&self) -> u32 {
        self.config.max_images_in_flight.saturating_mul(self.generator.workers()).max(1)
    }

    /// What the workers can take. Once the process stops, everything: what is claimed then ends at once.
    pub(super) fn room(&self) -> Room {
        if self.stop.is_cancelled() {
            return Room { free: u32::MAX, total: u32::MAX };
        }
        let total = self.total_room();
        Room { free: total.saturating_sub(self.in_flight.images()), total }
    }
}

/// Images handed to the workers.
#[derive(Default)]
pub(super) struct InFlight {
    images: AtomicU32,
    /// Some were given back.
    pub(super) freed: Notify,
}

impl InFlight {
    pub(super) fn images(&self) -> u32 {
        self.images.load(Ordering::Relaxed)
    }

    pub(super) fn hold(self: &Arc<Self>, images: u32) -> InFlightGuard {
        self.images.fetch_add(images, Ordering::Relaxed);
        InFlightGuard { in_flight: self.clone(), images }
    }
}

/// A run's images in flight, given back when dropped, however the run ends.
pub(super) struct InFlightGuard {
    in_flight: Arc<InFlight>,
    images: u32,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.in_flight.images.fetch_sub(self.images, Ordering::Relaxed);
        self.in_flight.freed.notify_one();
    }
}

/// ms, as clients are told.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
