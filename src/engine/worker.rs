//! The worker's loop: take in what has come, drop what nobody waits for, take one step of one batch, tell about it.
//!
//! Invariants: requests join and leave between any two steps; a request ends with exactly one of `Done` and `Failed`; a
//! batch that fails is tried again sample by sample, so that only the request at fault fails; whatever a request does, the
//! loop goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::costs::MeasuredCosts;
use super::planner::{Candidate, Planner};
use super::{Command, Counters, EngineConfig, Event, ModelInfo, StageName, device, translate};
use crate::domain::{Failure, FailureKind, Picture};
use crate::model::pixels::Pixels;
use crate::model::{Error, Kandinsky, Key, LoadOptions, Sample, Stage};

/// Load the model, say so, and serve until the channel closes.
pub(super) fn run(
    config: &EngineConfig,
    mut report: impl FnMut(&str),
    ready: oneshot::Sender<anyhow::Result<ModelInfo>>,
    commands: mpsc::Receiver<Command>,
    counters: Arc<Counters>,
) {
    let loaded = device::compute(config.device, config.dtype).and_then(|compute| {
        let options = LoadOptions { inpainting: config.inpainting };
        Kandinsky::load(&config.checkpoint, &compute, options, &mut report)
    });
    let model = match loaded {
        Ok(model) => model,
        Err(error) => {
            // Nobody to tell is the same as nothing to do.
            let _ = ready.send(Err(error.into()));
            return;
        }
    };
    let info = ModelInfo {
        name: model.name.clone(),
        native_size: u32::try_from(model.native_size()).unwrap_or(u32::MAX),
        weight_bytes: model.weight_bytes(),
        device: format!("{:?} {:?}", model.compute.device.location(), model.compute.dtype),
    };
    let native = info.native_size;
    if ready.send(Ok(info)).is_ok() {
        let worker = Worker {
            model,
            native,
            commands,
            counters,
            planner: Planner::new(),
            costs: MeasuredCosts::default(),
            requests: Vec::new(),
            samples: Vec::new(),
            next_id: 0,
        };
        worker.serve();
    }
}

struct Worker {
    model: Kandinsky,
    native: u32,
    commands: mpsc::Receiver<Command>,
    counters: Arc<Counters>,
    planner: Planner<Key>,
    costs: MeasuredCosts,
    requests: Vec<Request>,
    samples: Vec<Active>,
    next_id: u64,
}

/// A request with pictures still to come.
struct Request {
    id: u64,
    events: mpsc::UnboundedSender<Event>,
}

/// A picture being made.
struct Active {
    id: u64,
    request: u64,
    /// Its number within the request.
    index: usize,
    sample: Sample,
    priority: u8,
    waited: u64,
}

impl Worker {
    fn serve(mut self) {
        loop {
            if self.samples.is_empty() {
                match self.commands.blocking_recv() {
                    Some(command) => self.accept(command),
                    None => return,
                }
            }
            while let Ok(command) = self.commands.try_recv() {
                self.accept(command);
            }
            self.drop_abandoned();
            self.step();
        }
    }

    /// Encode a request's inputs and queue its pictures.
    fn accept(&mut self, Command { generation, events }: Command) {
        if events.is_closed() {
            return;
        }
        let begun = guarded(|| {
            let tasks = translate::tasks(generation, self.native);
            let wanted = tasks.into_iter().take_while(|_| !events.is_closed());
            wanted.map(|task| self.model.begin(task)).collect::<Result<Vec<_>, _>>()
        });
        let request = self.next_id;
        self.next_id += 1;
        match begun {
            Ok(samples) => {
                for (index, sample) in samples.into_iter().enumerate() {
                    let id = self.next_id;
                    self.next_id += 1;
                    self.samples.push(Active { id, request, index, sample, priority: 1, waited: 0 });
                }
                self.requests.push(Request { id: request, events });
                self.announce(request);
            }
            Err(failure) => drop(events.send(Event::Failed(failure))),
        }
    }

    /// Forget requests whose clients are gone.
    fn drop_abandoned(&mut self) {
        self.requests.retain(|request| !request.events.is_closed());
        let requests = &self.requests;
        self.samples.retain(|active| requests.iter().any(|request| request.id == active.request));
    }

    /// One step of the batch that the planner chooses.
    fn step(&mut self) {
        let candidates: Vec<Candidate<Key>> = self
            .samples
            .iter()
            .map(|active| Candidate {
                id: active.id,
                key: active.sample.key(),
                rows: active.sample.batch_rows(),
                priority: active.priority,
                waited: active.waited,
            })
            .collect();
        let Some(batch) = self.planner.next(&candidates, &self.costs) else {
            return;
        };
        let started = Instant::now();
        match (self.step_samples(batch.key, &batch.ids), batch.ids.as_slice()) {
            (Ok(()), _) => {}
            (Err(failure), [id]) => self.fail(*id, &failure),
            (Err(_), ids) => {
                // Somebody is at fault: find out who, alone.
                for id in ids {
                    if let Err(failure) = self.step_samples(batch.key, &[*id]) {
                        self.fail(*id, &failure);
                    }
                }
            }
        }
        self.costs.note(batch.key, batch.rows, started.elapsed());
        self.counters.steps.fetch_add(1, Ordering::Relaxed);
        self.counters.rows.fetch_add(batch.rows as u64, Ordering::Relaxed);
        let mut touched: Vec<u64> = Vec::new();
        for active in &mut self.samples {
            if batch.ids.contains(&active.id) {
                active.waited = 0;
                touched.push(active.request);
            } else {
                active.waited += 1;
            }
        }
        touched.dedup();
        for request in touched {
            self.announce(request);
        }
    }

    /// Step these samples together; on an error none of them has moved.
    fn step_samples(&mut self, key: Key, ids: &[u64]) -> Result<(), Failure> {
        let model = &self.model;
        if key.stage != Stage::Decode {
            let mut batch: Vec<&mut Sample> =
                self.samples.iter_mut().filter(|active| ids.contains(&active.id)).map(|a| &mut a.sample).collect();
            return guarded(|| match key.stage {
                Stage::Prior => model.step_prior(&mut batch),
                _ => model.step_decoder(&mut batch),
            });
        }
        let chosen: Vec<&Active> = self.samples.iter().filter(|active| ids.contains(&active.id)).collect();
        let samples: Vec<&Sample> = chosen.iter().map(|active| &active.sample).collect();
        let pictures = guarded(|| model.decode(&samples))?;
        let finished: Vec<(u64, usize, Picture)> = chosen
            .iter()
            .zip(pictures)
            .map(|(active, picture)| (active.request, active.index, from_pixels(picture)))
            .collect();
        self.samples.retain(|active| !ids.contains(&active.id));
        for (request, index, picture) in finished {
            self.tell(request, Event::Picture { index, picture });
            if !self.samples.iter().any(|active| active.request == request) {
                self.tell(request, Event::Done);
                self.requests.retain(|other| other.id != request);
            }
        }
        Ok(())
    }

    /// End the request that a sample belongs to.
    fn fail(&mut self, sample: u64, failure: &Failure) {
        let Some(request) = self.samples.iter().find(|active| active.id == sample).map(|active| active.request) else {
            return;
        };
        self.tell(request, Event::Failed(failure.clone()));
        self.requests.retain(|other| other.id != request);
        self.samples.retain(|active| active.request != request);
    }

    fn tell(&self, request: u64, event: Event) {
        if let Some(request) = self.requests.iter().find(|other| other.id == request) {
            // Whoever asked may be gone; that shows before the next step.
            let _ = request.events.send(event);
        }
    }

    /// Tell how far a request's pictures together are in the stage of the one that is furthest behind.
    fn announce(&self, request: u64) {
        let mine = || self.samples.iter().filter(|active| active.request == request).map(|active| &active.sample);
        let Some(stage) = mine().map(Sample::stage).min() else {
            return;
        };
        let (mut step, mut steps) = (0, 0);
        for progress in mine().map(Sample::progress).filter(|progress| progress.stage == stage) {
            step += progress.step;
            steps += progress.steps;
        }
        let stage = match stage {
            Stage::Prior => StageName::Prior,
            Stage::Decoder => StageName::Decoder,
            Stage::Decode => StageName::Decode,
        };
        self.tell(request, Event::Progress { stage, step, steps });
    }
}

/// Run model code; errors and panics become failures fit for clients, and are logged.
fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Failure> {
    let internal = || Failure::new(FailureKind::Internal, "the picture could not be made");
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Error::Request(message))) => Err(Failure::new(FailureKind::Unsupported, message)),
        Ok(Err(Error::MissingComponent { component, .. })) => {
            Err(Failure::new(FailureKind::Unsupported, format!("the loaded model has no {component}")))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a step failed");
            Err(internal())
        }
        Err(_) => {
            tracing::error!("a step panicked");
            Err(internal())
        }
    }
}

fn from_pixels(pixels: Pixels) -> Picture {
    Picture {
        width: u32::try_from(pixels.width).unwrap_or(0),
        height: u32::try_from(pixels.height).unwrap_or(0),
        rgb: pixels.data,
    }
}
