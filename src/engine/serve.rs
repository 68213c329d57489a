//! The worker's loop: accept what has come, drop what was abandoned, take one step of one batch, send what came of it.
//!
//! Invariants: requests join and leave between any two steps; whatever a request does, the loop goes on, unless the device
//! itself is lost.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Device;
use tokio::runtime::{Builder, Runtime};

use super::active_request::{ActiveRequest, NewRequest};
use super::costs::MeasuredCosts;
use super::embed::{EmbedInput, EmbedRequest};
use super::guarded::{StepError, WorkerLost, guarded, internal, lost};
use super::inbox::{Inbox, Incoming, WorkerMessage};
use super::load::WorkerState;
use super::memory;
use super::planner::Planner;
use crate::diffusion::{BatchKey, CacheCounts, DiffusionModel, Sample};
use crate::domain::{Failure, FailureKind};
use crate::journal::{Entry, Journal};
use crate::metrics::{CACHE_REQUESTS, DEVICE_MEMORY, SAMPLES_IN_FLIGHT};

/// Samples in flight at which a worker leaves further requests in its inbox: memory stays bounded.
const MAX_SAMPLES: usize = 64;

/// Embeddings are computed for as long as the last step took, and at least for so long, before the next step.
const EMBED_TIME: Duration = Duration::from_millis(20);

/// What a loop is made of.
pub(super) struct ServeSetup<'a> {
    pub(super) model: Box<dyn DiffusionModel>,
    pub(super) device: &'a Device,
    /// Of the worker.
    pub(super) number: usize,
    /// Take steps of several samples together.
    pub(super) batching: bool,
    pub(super) journal: Journal,
    pub(super) state: &'a Arc<WorkerState>,
    pub(super) inbox: &'a mut Inbox,
    /// They outlive the loop, so that they can be failed when the worker is lost.
    pub(super) requests: &'a mut Vec<ActiveRequest>,
}

/// A worker with its model.
pub(super) struct Serving<'a> {
    pub(super) model: Box<dyn DiffusionModel>,
    device: &'a Device,
    pub(super) number: usize,
    pub(super) state: &'a WorkerState,
    inbox: &'a mut Inbox,
    /// Waits for the next message while there is nothing to do.
    waiting: Runtime,
    pub(super) requests: &'a mut Vec<ActiveRequest>,
    pub(super) planner: Planner<BatchKey>,
    pub(super) costs: MeasuredCosts,
    pub(super) samples: Vec<ActiveSample>,
    pub(super) journal: Journal,
    next_id: u64,
    cache: CacheCounts,
    /// How long the last step took.
    pub(super) last_step: Duration,
}

/// An image being made.
pub(super) struct ActiveSample {
    pub(super) id: u64,
    /// Its request.
    pub(super) request: u64,
    /// Its number within the request.
    pub(super) index: usize,
    pub(super) sample: Box<dyn Sample>,
    pub(super) priority: u8,
    /// Whose it is, as the planner counts owners.
    pub(super) owner: u64,
    /// Steps of others since its own last one.
    pub(super) waited: u64,
}

impl<'a> Serving<'a> {
    pub(super) fn new(setup: ServeSetup<'a>) -> std::io::Result<Self> {
        let ServeSetup { model, device, number, batching, journal, state, inbox, requests } = setup;
        let costs = MeasuredCosts::new(model.info().stages, memory::budget(device), batching);
        Ok(Self {
            model,
            device,
            number,
            state,
            inbox,
            waiting: Builder::new_current_thread().build()?,
            requests,
            planner: Planner::new(),
            costs,
            samples: Vec::new(),
            journal,
            next_id: 0,
            cache: CacheCounts::default(),
            last_step: Duration::ZERO,
        })
    }

    /// Serve until all senders are gone and all is done.
    pub(super) fn serve(mut self) -> Result<(), WorkerLost> {
        loop {
            if self.samples.is_empty() {
                self.publish_in_flight();
                match self.waiting.block_on(self.inbox.next()) {
                    Some(Incoming::Request(message)) => self.accept(message),
                    Some(Incoming::Embed(request)) => self.embed(request)?,
                    None => return Ok(()),
                }
            }
            while self.samples.len() < MAX_SAMPLES {
                let Ok(message) = self.inbox.requests.try_recv() else { break };
                self.accept(message);
            }
            let until = Instant::now() + self.last_step.max(EMBED_TIME);
            while Instant::now() < until {
                let Ok(request) = self.inbox.embeds.try_recv() else { break };
                self.embed(request)?;
            }
            self.publish_in_flight();
            self.drop_abandoned();
            self.step()?;
        }
    }

    /// Begin with a request's images.
    fn accept(&mut self, WorkerMessage { request, events, load }: WorkerMessage) {
        if events.is_closed() {
            return;
        }
        let count = request.generation.common.n;
        let same = self.requests.iter().find(|other| other.owner.0 == request.owner).map(|other| other.owner.1);
        let owner = same.unwrap_or_else(|| self.fresh_id());
        let mut active = ActiveRequest::start(NewRequest {
            id: self.fresh_id(),
            owner: (request.owner, owner),
            images: count as usize,
            preview_interval: request.preview_interval as usize,
            label: request.request_id,
            events,
            load,
            stages: self.model.info().stages,
            job: request.job,
            caution: request.caution,
        });
        let entries = active.job.map(|job| Entry { job, place: "begin".to_owned() });
        let hold = self.journal.hold(entries.into_iter().collect(), active.caution.is_some());
        let generation = Rc::new(request.generation.reduce());
        let begun =
            guarded(|| (0..count).map(|index| self.model.begin(&generation, index)).collect::<Result<Vec<_>, _>>());
        drop(hold);
        match begun {
            Ok(samples) => {
                for (index, sample) in samples.into_iter().enumerate() {
                    active.record_progress(index, &sample.state());
                    let (id, request, priority) = (self.fresh_id(), active.id, request.priority);
                    self.samples.push(ActiveSample { id, request, index, sample, priority, owner, waited: 0 });
                }
                active.send_progress();
                self.requests.push(active);
            }
            Err(StepError::Failure(failure)) => active.fail(failure),
            Err(StepError::Lost) => active.fail(internal()),
        }
    }

    /// Reply with CLIP's embeddings.
    fn embed(&mut self, EmbedRequest { input, reply }: EmbedRequest) -> Result<(), WorkerLost> {
        if reply.is_closed() {
            return Ok(());
        }
        // It is no job's: what is executed exclusively waits for it all the same.
        let hold = self.journal.hold(Vec::new(), false);
        let embedded = guarded(|| match input {
            EmbedInput::Texts(texts) => texts.iter().map(|text| self.model.embed_text(text)).collect(),
            EmbedInput::Images(images) => images.iter().map(|image| Ok(vec![self.model.embed_image(image)?])).collect(),
        });
        drop(hold);
        let (embedded, is_lost) = match embedded {
            Ok(embeddings) => (Ok(embeddings), false),
            Err(StepError::Failure(failure)) if failure.kind == FailureKind::Internal => {
                (Err(Failure::new(FailureKind::Internal, "CLIP's embedding could not be computed")), false)
            }
            Err(StepError::Failure(failure)) => (Err(failure), false),
            Err(StepError::Lost) => (Err(lost()), true),
        };
        self.publish_cache();
        // The receiver may be gone.
        let _ = reply.send(embedded);
        if is_lost { Err(WorkerLost) } else { Ok(()) }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Forget requests whose receivers are gone.
    fn drop_abandoned(&mut self) {
        self.requests.retain(|request| !request.is_abandoned());
        let requests = &*self.requests;
        self.samples.retain(|active| requests.iter().any(|request| request.id == active.request));
    }

    fn publish_in_flight(&self) {
        let worker = self.number.to_string();
        SAMPLES_IN_FLIGHT.set(self.samples.len() as u64, [&worker]);
        if let Some(bytes) = memory::used(self.device) {
            DEVICE_MEMORY.set(bytes, [&worker]);
        }
    }

    pub(super) fn publish_cache(&mut self) {
        let counts = self.model.cache_counts();
        CACHE_REQUESTS.add(counts.hits - self.cache.hits, ["encodings", "hit"]);
        CACHE_REQUESTS.add(counts.misses - self.cache.misses, ["encodings", "miss"]);
        self.cache = counts;
    }
}
