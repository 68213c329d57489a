//! One step: which samples, their step, and what came of it.
//!
//! Invariants: a batch that fails is tried again sample by sample, so that only the request at fault fails; the journal names
//! the jobs of a step for as long as it lasts, and a suspect shares its steps with no other job.

use std::time::{Duration, Instant};

use super::guarded::{StepError, WorkerLost, guarded};
use super::planner::{Batch, Candidate};
use super::serve::{ActiveSample, Serving};
use crate::diffusion::{BatchKey, DiffusionModel, Sample, SampleState, StageInfo};
use crate::domain::{Failure, Image};
use crate::journal::{Entry, HoldGuard};
use crate::metrics::{BATCH_ROWS, STEP_DURATION};

/// How long a worker sleeps at a time while all that it has must wait.
const WAIT_SLICE: Duration = Duration::from_millis(5);

impl Serving<'_> {
    /// The samples that may take a step. A sample that occupies an exclusive stage is the only one that may step in it, as
    /// urgently as the most urgent one that waits for it.
    fn candidates(&self, waiting: &[u64]) -> Vec<Candidate<BatchKey>> {
        let stages = self.model.info().stages;
        let states: Vec<(&ActiveSample, SampleState)> =
            self.samples.iter().map(|active| (active, active.sample.state())).collect();
        let occupied =
            states.iter().find(|(_, state)| state.occupies).map(|(active, state)| (active.id, state.key.stage));
        let is_exclusive = |stage: usize| stages.get(stage).is_some_and(|stage| stage.exclusive);
        let waits = |active: &ActiveSample, state: &SampleState| {
            is_exclusive(state.key.stage)
                && occupied.is_some_and(|(id, stage)| id != active.id && stage == state.key.stage)
        };
        let behind = || states.iter().filter(|(active, state)| waits(active, state)).map(|(active, _)| active);
        let priority = behind().map(|active| active.priority).max().unwrap_or(0);
        let waited = behind().map(|active| active.waited).max().unwrap_or(0);
        let mut candidates = Vec::with_capacity(states.len());
        let may_step =
            |active: &ActiveSample, state: &SampleState| !waits(active, state) && !waiting.contains(&active.id);
        for (active, state) in states.iter().filter(|(active, state)| may_step(active, state)) {
            let mut candidate = Candidate {
                id: active.id,
                key: state.key,
                rows: state.rows,
                owner: active.owner,
                priority: active.priority,
                waited: active.waited,
            };
            if occupied.is_some_and(|(id, _)| id == active.id) {
                candidate.priority = candidate.priority.max(priority);
                candidate.waited = candidate.waited.max(waited);
            }
            candidates.push(candidate);
        }
        candidates
    }

    /// One step of the batch that the planner chooses.
    pub(super) fn step(&mut self) -> Result<(), WorkerLost> {
        let waiting = self.waiting_samples();
        let Some(batch) = self.planner.next(&self.candidates(&waiting), &self.costs) else {
            if !waiting.is_empty() {
                std::thread::sleep(WAIT_SLICE);
            }
            return Ok(());
        };
        let (batch, is_exclusive) = self.isolate(batch);
        let stage = self.model.info().stages.get(batch.key.stage).map_or("", |stage| stage.id);
        let shape = format!("{}x{}", batch.key.height, batch.key.width);
        let _span = tracing::debug_span!("step", worker = self.number, stage, rows = batch.rows, shape).entered();
        let mut hold = self.hold(&batch.ids, is_exclusive);
        let started = Instant::now();
        match (self.step_samples(batch.key, &batch.ids), batch.ids.as_slice()) {
            (Ok(()), _) => {
                let took = started.elapsed();
                self.last_step = took;
                self.costs.record(batch.key, batch.rows, took);
                STEP_DURATION.record(took.as_secs_f64(), [stage, &shape]);
                #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
                BATCH_ROWS.record(batch.rows as f64, [stage]);
            }
            (Err(StepError::Lost), _) => {
                hold.lose();
                return Err(WorkerLost);
            }
            (Err(StepError::Failure(failure)), [id]) => self.fail(*id, failure),
            (Err(StepError::Failure(_)), ids) => {
                // One of them is at fault: find out which.
                for id in ids {
                    drop(hold);
                    hold = self.hold(&[*id], is_exclusive);
                    match self.step_samples(batch.key, &[*id]) {
                        Ok(()) => {}
                        Err(StepError::Lost) => {
                            hold.lose();
                            return Err(WorkerLost);
                        }
                        Err(StepError::Failure(failure)) => self.fail(*id, failure),
                    }
                }
            }
        }
        self.state.count_step(batch.rows);
        self.publish_cache();
        for active in &mut self.samples {
            active.waited = if batch.ids.contains(&active.id) { 0 } else { active.waited + 1 };
        }
        self.report(&batch.ids);
        drop(hold);
        Ok(())
    }

    /// Samples of suspects that have come to where a worker died, and wait there for a while.
    fn waiting_samples(&mut self) -> Vec<u64> {
        if self.requests.iter().all(|request| request.caution.is_none()) {
            return Vec::new();
        }
        let (stages, now) = (self.model.info().stages, Instant::now());
        let mut waiting = Vec::new();
        for active in &self.samples {
            let request = self.requests.iter_mut().find(|request| request.id == active.request);
            if request.is_some_and(|request| request.waits_at(&place(stages, &active.sample.state()), now)) {
                waiting.push(active.id);
            }
        }
        waiting
    }

    /// What is left of a batch so that no suspect shares it with another request: the part of the sample that has waited
    /// longest. True: it is a suspect's.
    fn isolate(&self, mut batch: Batch<BatchKey>) -> (Batch<BatchKey>, bool) {
        let is_suspect = |id: u64| self.requests.iter().any(|request| request.id == id && request.caution.is_some());
        let mut chosen: Vec<&ActiveSample> =
            self.samples.iter().filter(|active| batch.ids.contains(&active.id)).collect();
        if !chosen.iter().any(|active| is_suspect(active.request)) {
            return (batch, false);
        }
        let first = chosen.iter().max_by_key(|active| (active.waited, std::cmp::Reverse(active.id)));
        let Some(first) = first.map(|active| active.request) else { return (batch, false) };
        let is_exclusive = is_suspect(first);
        chosen.retain(|active| if is_exclusive { active.request == first } else { !is_suspect(active.request) });
        batch.rows = chosen.iter().map(|active| active.sample.state().rows).sum();
        batch.ids.retain(|id| chosen.iter().any(|active| active.id == *id));
        (batch, is_exclusive)
    }

    /// Note that the jobs of these samples are in execution.
    fn hold(&self, ids: &[u64], is_exclusive: bool) -> HoldGuard {
        let stages = self.model.info().stages;
        let mut entries: Vec<Entry> = Vec::new();
        for active in self.samples.iter().filter(|active| ids.contains(&active.id)) {
            let job = self.requests.iter().find(|request| request.id == active.request).and_then(|request| request.job);
            if let Some(job) = job.filter(|job| entries.iter().all(|entry| entry.job != *job)) {
                entries.push(Entry { job, place: place(stages, &active.sample.state()) });
            }
        }
        self.journal.hold(entries, is_exclusive)
    }

    /// Step these samples together, and hand out the images that are finished. On an error none of them has moved.
    fn step_samples(&mut self, key: BatchKey, ids: &[u64]) -> Result<(), StepError> {
        let model = &*self.model;
        let mut chosen: Vec<u64> = Vec::with_capacity(ids.len());
        let mut batch: Vec<&mut dyn Sample> = Vec::with_capacity(ids.len());
        for active in self.samples.iter_mut().filter(|active| ids.contains(&active.id)) {
            chosen.push(active.id);
            batch.push(&mut *active.sample);
        }
        let images = guarded(|| model.step(key, &mut batch))?;
        for (id, image) in chosen.into_iter().zip(images) {
            if let Some(image) = image {
                self.finish(id, image);
            }
        }
        Ok(())
    }

    /// A sample has become an image.
    fn finish(&mut self, sample: u64, image: Image) {
        let Some(at) = self.samples.iter().position(|active| active.id == sample) else { return };
        let ActiveSample { request: id, index, .. } = self.samples.remove(at);
        let Some(at) = self.requests.iter().position(|request| request.id == id) else { return };
        if self.requests[at].finish_image(index, image) {
            self.requests.remove(at).finish();
        } else {
            self.requests[at].send_progress();
        }
    }

    /// Tell the requests of these samples how far they are.
    fn report(&mut self, ids: &[u64]) {
        let mut touched: Vec<u64> = Vec::new();
        for active in self.samples.iter().filter(|active| ids.contains(&active.id)) {
            let Some(request) = self.requests.iter_mut().find(|request| request.id == active.request) else { continue };
            let state = active.sample.state();
            request.record_progress(active.index, &state);
            if let Some((step, image)) = preview(&*self.model, &*active.sample, &state, request.preview_interval) {
                request.send_preview(active.index, step, image);
            }
            if !touched.contains(&active.request) {
                touched.push(active.request);
            }
        }
        for request in self.requests.iter_mut().filter(|request| touched.contains(&request.id)) {
            request.send_progress();
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
}

/// A sample's next step, as the journal names it.
fn place(stages: &[StageInfo], state: &SampleState) -> String {
    format!("{} {}", stages.get(state.key.stage).map_or("", |stage| stage.id), state.step)
}

/// A preview of a sample that has just been stepped, if one is due, and the denoising steps behind it.
fn preview(
    model: &dyn DiffusionModel,
    sample: &dyn Sample,
    state: &SampleState,
    interval: usize,
) -> Option<(usize, Image)> {
    let step = state.preview_step?;
    if interval == 0 || step == 0 || !step.is_multiple_of(interval) {
        return None;
    }
    let image = guarded(|| model.preview(sample)).ok()??;
    Some((step, image))
}
