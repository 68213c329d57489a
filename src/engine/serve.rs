//! The worker's loop: take in what has come, drop what nobody waits for, take one step of one batch, tell about it.
//!
//! Invariants: requests join and leave between any two steps; a batch that fails is tried again sample by sample, so that
//! only the request at fault fails; whatever a request does, the loop goes on, unless the device itself is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::costs::MeasuredCosts;
use super::fault::{Fault, FaultHook, FaultPoint};
use super::load::WorkerState;
use super::planner::{Candidate, Planner};
use super::question::{Question, Subject};
use super::request::{self, Request};
use super::worker::{Command, Inbox, Incoming};
use super::{EngineConfig, memory, translate};
use crate::domain::{Failure, FailureKind, Image};
use crate::families::kandinsky21::{CacheCounts, Kandinsky, Key, Sample, Stage};
use crate::metrics::{BATCH_ROWS, CACHE_REQUESTS, DEVICE_MEMORY, SAMPLES_IN_FLIGHT, STEP_DURATION};
use crate::tensor::Error;

/// Images in flight at which a worker leaves further requests in its inbox: memory stays bounded.
const MOST_SAMPLES: usize = 64;

/// Questions are answered for as long as the last step took, and at least for so long, before the next step.
const QUESTION_TIME: Duration = Duration::from_millis(20);

/// The device is gone, and the model with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost;

/// Why a step failed.
enum StepError {
    /// It is the fault of a sample.
    Failure(Failure),
    Lost,
}

/// A worker with its model.
pub(super) struct Serving<'a> {
    model: Kandinsky,
    native: u32,
    number: usize,
    fault: Option<FaultHook>,
    state: &'a WorkerState,
    inbox: &'a mut Inbox,
    /// Waits for what comes next while there is nothing to do.
    waiting: Runtime,
    /// They outlive the worker, so that they can be told when it is lost.
    requests: &'a mut Vec<Request>,
    planner: Planner<Key>,
    costs: MeasuredCosts,
    samples: Vec<Active>,
    next_id: u64,
    cache: CacheCounts,
    /// How long the last step took.
    last_step: Duration,
}

/// An image being made.
struct Active {
    id: u64,
    request: u64,
    /// Its number within the request.
    index: usize,
    seed: u64,
    sample: Sample,
    priority: u8,
    waited: u64,
    /// Once it is finished.
    image: Option<Image>,
}

impl<'a> Serving<'a> {
    pub(super) fn new(
        model: Kandinsky,
        number: usize,
        config: &EngineConfig,
        state: &'a Arc<WorkerState>,
        inbox: &'a mut Inbox,
        requests: &'a mut Vec<Request>,
    ) -> std::io::Result<Self> {
        let native = model.native_size();
        let costs = MeasuredCosts::new(memory::budget(model.compute.device())).alone(!config.batching);
        Ok(Self {
            model,
            native,
            number,
            fault: config.fault.clone(),
            state,
            inbox,
            waiting: Builder::new_current_thread().build()?,
            requests,
            planner: Planner::new(),
            costs,
            samples: Vec::new(),
            next_id: 0,
            cache: CacheCounts::default(),
            last_step: Duration::ZERO,
        })
    }

    /// Serve until nobody can send more and all is done.
    pub(super) fn serve(mut self) -> Result<(), Lost> {
        loop {
            if self.samples.is_empty() {
                self.publish_in_flight();
                match self.waiting.block_on(self.inbox.next()) {
                    Some(Incoming::Order(command)) => self.accept(command),
                    Some(Incoming::Question(question)) => self.answer(question)?,
                    None => return Ok(()),
                }
            }
            while self.samples.len() < MOST_SAMPLES {
                let Ok(command) = self.inbox.orders.try_recv() else { break };
                self.accept(command);
            }
            let until = Instant::now() + self.last_step.max(QUESTION_TIME);
            while Instant::now() < until {
                let Ok(question) = self.inbox.questions.try_recv() else { break };
                self.answer(question)?;
            }
            self.publish_in_flight();
            self.drop_abandoned();
            self.step()?;
        }
    }

    /// Take up a request's images.
    fn accept(&mut self, Command { order, events, ticket }: Command) {
        if events.is_closed() {
            return;
        }
        let (seed, images) = (order.generation.common.seed, order.generation.common.n as usize);
        let interval = order.preview_interval as usize;
        let id = self.fresh_id();
        let mut request = Request::new(id, images, interval, order.request_id, events, ticket);
        let tasks = translate::tasks(order.generation, self.native);
        let begun = guarded(|| tasks.into_iter().map(|task| self.model.begin(task)).collect::<Result<Vec<_>, _>>());
        match begun {
            Ok(samples) => {
                for (index, sample) in samples.into_iter().enumerate() {
                    let seed = seed.wrapping_add(index as u64);
                    let (id, request) = (self.fresh_id(), request.id);
                    let priority = order.priority;
                    self.samples.push(Active { id, request, index, seed, sample, priority, waited: 0, image: None });
                }
                request.announce();
                self.requests.push(request);
            }
            Err(StepError::Failure(failure)) => request.fail(failure),
            Err(StepError::Lost) => request.fail(internal()),
        }
    }

    /// Say what CLIP makes of it.
    fn answer(&mut self, Question { subject, answer }: Question) -> Result<(), Lost> {
        if answer.is_closed() {
            return Ok(());
        }
        let embedded = guarded(|| match subject {
            Subject::Texts(texts) => texts.iter().map(|text| self.model.text_parts(text)).collect(),
            Subject::Images(images) => {
                images.iter().map(|image| Ok(vec![self.model.image_embed(image)?])).collect::<Result<Vec<_>, Error>>()
            }
        });
        let (embedded, lost) = match embedded {
            Ok(embeds) => (Ok(embeds), false),
            Err(StepError::Failure(failure)) if failure.kind == FailureKind::Internal => {
                (Err(Failure::new(FailureKind::Internal, "CLIP's embedding could not be computed")), false)
            }
            Err(StepError::Failure(failure)) => (Err(failure), false),
            Err(StepError::Lost) => (Err(Failure::new(FailureKind::Lost, "the worker was lost")), true),
        };
        self.publish_cache();
        // Whoever asked may be gone.
        let _ = answer.send(embedded);
        if lost { Err(Lost) } else { Ok(()) }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Forget requests whose clients are gone.
    fn drop_abandoned(&mut self) {
        self.requests.retain(|request| !request.is_abandoned());
        let requests = &*self.requests;
        self.samples.retain(|active| requests.iter().any(|request| request.id == active.request));
    }

    /// The samples that may take a step. An image whose decoding has begun holds the largest tensors there are, so it is
    /// the only one that may be decoded, as urgently as the most urgent one that waits for it.
    fn candidates(&self) -> Vec<Candidate<Key>> {
        let decoding = self.samples.iter().find(|active| active.sample.is_decoding()).map(|active| active.id);
        let waits =
            |active: &Active| active.sample.stage() == Stage::Decode && decoding.is_some_and(|id| id != active.id);
        let behind = || self.samples.iter().filter(|active| waits(active));
        let priority = behind().map(|active| active.priority).max().unwrap_or(0);
        let waited = behind().map(|active| active.waited).max().unwrap_or(0);
        let mut candidates = Vec::with_capacity(self.samples.len());
        for active in self.samples.iter().filter(|active| !waits(active)) {
            let mut candidate = Candidate {
                id: active.id,
                key: active.sample.key(),
                rows: active.sample.batch_rows(),
                priority: active.priority,
                waited: active.waited,
            };
            if decoding == Some(active.id) {
                candidate.priority = candidate.priority.max(priority);
                candidate.waited = candidate.waited.max(waited);
            }
            candidates.push(candidate);
        }
        candidates
    }

    /// One step of the batch that the planner chooses.
    fn step(&mut self) -> Result<(), Lost> {
        let Some(batch) = self.planner.next(&self.candidates(), &self.costs) else {
            return Ok(());
        };
        let stage = request::name(batch.key.stage).name();
        let shape = format!("{}x{}", batch.key.height, batch.key.width);
        let _span = tracing::debug_span!("step", worker = self.number, stage, rows = batch.rows, shape).entered();
        let started = Instant::now();
        match (self.step_samples(batch.key, &batch.ids), batch.ids.as_slice()) {
            (Ok(()), _) => {
                let took = started.elapsed();
                self.last_step = took;
                self.costs.note(batch.key, batch.rows, took);
                STEP_DURATION.record(took.as_secs_f64(), [stage, &shape]);
                #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
                BATCH_ROWS.record(batch.rows as f64, [stage]);
            }
            (Err(StepError::Lost), _) => return Err(Lost),
            (Err(StepError::Failure(failure)), [id]) => self.fail(*id, failure),
            (Err(StepError::Failure(_)), ids) => {
                // Somebody is at fault: find out who, alone.
                for id in ids {
                    match self.step_samples(batch.key, &[*id]) {
                        Ok(()) => {}
                        Err(StepError::Lost) => return Err(Lost),
                        Err(StepError::Failure(failure)) => self.fail(*id, failure),
                    }
                }
            }
        }
        self.state.stepped(batch.rows);
        self.publish_cache();
        for active in &mut self.samples {
            active.waited = if batch.ids.contains(&active.id) { 0 } else { active.waited + 1 };
        }
        self.report(&batch.ids);
        Ok(())
    }

    /// Step these samples together; on an error none of them has moved.
    fn step_samples(&mut self, key: Key, ids: &[u64]) -> Result<(), StepError> {
        let fault = self.fault(key, ids);
        assert!(fault != Fault::Crash, "a crash on purpose");
        let model = &self.model;
        if key.stage != Stage::Decode {
            let mut batch: Vec<&mut Sample> =
                self.samples.iter_mut().filter(|active| ids.contains(&active.id)).map(|a| &mut a.sample).collect();
            return guarded(|| {
                assert!(fault != Fault::Panic, "a panic on purpose");
                match key.stage {
                    Stage::Encode => model.encode(&mut batch),
                    Stage::Prior => model.step_prior(&mut batch),
                    Stage::Decoder | Stage::Decode => model.step_decoder(&mut batch),
                }
            });
        }
        for active in self.samples.iter_mut().filter(|active| ids.contains(&active.id)) {
            active.image = guarded(|| {
                assert!(fault != Fault::Panic, "a panic on purpose");
                model.step_decode(&mut active.sample)
            })?;
        }
        let (finished, rest): (Vec<Active>, Vec<Active>) =
            std::mem::take(&mut self.samples).into_iter().partition(|active| active.image.is_some());
        self.samples = rest;
        for Active { request: id, index, image, .. } in finished {
            let Some(at) = self.requests.iter().position(|request| request.id == id) else { continue };
            let Some(image) = image else { continue };
            if self.requests[at].finish(index, image) {
                self.requests.remove(at).done();
            } else {
                self.requests[at].announce();
            }
        }
        Ok(())
    }

    fn fault(&self, key: Key, ids: &[u64]) -> Fault {
        let Some(hook) = &self.fault else { return Fault::Nothing };
        let chosen = self.samples.iter().filter(|active| ids.contains(&active.id));
        let seeds: Vec<u64> = chosen.map(|active| active.seed).collect();
        hook(&FaultPoint { worker: self.number, stage: request::name(key.stage), seeds: &seeds })
    }

    /// Tell the requests of these samples how far they are.
    fn report(&mut self, ids: &[u64]) {
        let mut touched: Vec<u64> = Vec::new();
        for active in self.samples.iter().filter(|active| ids.contains(&active.id)) {
            let Some(request) = self.requests.iter_mut().find(|request| request.id == active.request) else { continue };
            request.note(active.index, active.sample.progress());
            if let Some((step, image)) = preview(&self.model, &active.sample, request.preview_interval) {
                request.preview(active.index, step, image);
            }
            if !touched.contains(&active.request) {
                touched.push(active.request);
            }
        }
        for request in self.requests.iter_mut().filter(|request| touched.contains(&request.id)) {
            request.announce();
        }
    }

    /// End the request that a sample belongs to.
    fn fail(&mut self, sample: u64, failure: Failure) {
        let Some(id) = self.samples.iter().find(|active| active.id == sample).map(|active| active.request) else {
            return;
        };
        self.samples.retain(|active| active.request != id);
        if let Some(at) = self.requests.iter().position(|request| request.id == id) {
            let request = self.requests.remove(at);
            tracing::warn!(request.id = %request.label, "a request failed");
            request.fail(failure);
        }
    }

    fn publish_in_flight(&self) {
        let worker = self.number.to_string();
        SAMPLES_IN_FLIGHT.set(self.samples.len() as u64, [&worker]);
        if let Some(bytes) = memory::used(self.model.compute.device()) {
            DEVICE_MEMORY.set(bytes, [&worker]);
        }
    }

    fn publish_cache(&mut self) {
        let counts = self.model.cache_counts();
        CACHE_REQUESTS.add(counts.hits - self.cache.hits, ["encodings", "hit"]);
        CACHE_REQUESTS.add(counts.misses - self.cache.misses, ["encodings", "miss"]);
        self.cache = counts;
    }
}

/// A preview of a sample that has just been stepped, if one is due, and the decoder steps it has taken.
fn preview(model: &Kandinsky, sample: &Sample, interval: usize) -> Option<(usize, Image)> {
    let (step, _) = sample.decoder_progress()?;
    if interval == 0 || step == 0 || !step.is_multiple_of(interval) {
        return None;
    }
    let image = guarded(|| model.preview_of(sample)).ok()??;
    Some((step, image))
}

/// Run model code; errors and panics become failures fit for clients, and are logged.
fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, StepError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Error::Request(message))) => Err(StepError::Failure(Failure::new(FailureKind::Unsupported, message))),
        Ok(Err(Error::MissingComponent { component, .. })) => {
            let message = format!("the loaded model has no {component}");
            Err(StepError::Failure(Failure::new(FailureKind::Unsupported, message)))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a step failed");
            Err(if memory::is_device_lost(&error) { StepError::Lost } else { StepError::Failure(internal()) })
        }
        Err(_) => {
            tracing::error!("a step panicked");
            Err(StepError::Failure(internal()))
        }
    }
}

fn internal() -> Failure {
    Failure::new(FailureKind::Internal, "the picture could not be made")
}
