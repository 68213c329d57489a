//! The worker's loop: one request after another, all of a request's pictures in one batch.
//!
//! Invariant: a request ends with exactly one of `Done` and `Failed`, and whatever a request does, the loop goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::{mpsc, oneshot};

use super::{Command, EngineConfig, Event, ModelInfo, StageName, device, translate};
use crate::domain::{Failure, FailureKind, Generation, Picture};
use crate::model::pixels::Pixels;
use crate::model::{Error, Kandinsky, LoadOptions, Sample, Stage};

/// Rows of one network call.
const MAX_ROWS: usize = 16;

pub(super) fn run(
    config: &EngineConfig,
    mut report: impl FnMut(&str),
    ready: oneshot::Sender<anyhow::Result<ModelInfo>>,
    mut commands: mpsc::Receiver<Command>,
) {
    let loaded = device::compute(config.device, config.dtype).and_then(|compute| {
        let options = LoadOptions { inpainting: config.inpainting };
        Kandinsky::load(&config.checkpoint, &compute, options, &mut report)
    });
    let model = match loaded {
        Ok(model) => model,
        Err(error) => {
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
    if ready.send(Ok(info)).is_err() {
        return;
    }
    while let Some(Command { generation, events }) = commands.blocking_recv() {
        let outcome = catch_unwind(AssertUnwindSafe(|| make(&model, generation, native, &events)));
        let last = match outcome {
            Ok(Ok(())) => Event::Done,
            Ok(Err(error)) => Event::Failed(failure(&error)),
            Err(_) => {
                tracing::error!("a request made the worker panic");
                Event::Failed(Failure::new(FailureKind::Internal, "the picture could not be made"))
            }
        };
        // Whoever asked may be gone.
        let _ = events.send(last);
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Request(message) => Failure::new(FailureKind::Unsupported, message.clone()),
        Error::MissingComponent { component, .. } => {
            Failure::new(FailureKind::Unsupported, format!("the loaded model has no {component}"))
        }
        other => {
            tracing::error!(error = %other, "a request failed");
            Failure::new(FailureKind::Internal, "the picture could not be made")
        }
    }
}

fn make(
    model: &Kandinsky,
    generation: Generation,
    native: u32,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<(), Error> {
    let mut samples = translate::tasks(generation, native)
        .into_iter()
        .map(|task| model.begin(task))
        .collect::<Result<Vec<_>, _>>()?;
    let mut finished = vec![false; samples.len()];
    loop {
        if events.is_closed() {
            return Ok(());
        }
        announce(&samples, events);
        let Some(first) = finished.iter().position(|done| !done) else {
            return Ok(());
        };
        let key = samples[first].key();
        let mut rows = 0;
        let chosen: Vec<usize> = (first..samples.len())
            .filter(|i| !finished[*i] && samples[*i].key() == key)
            .take_while(|i| {
                rows += samples[*i].batch_rows().max(1);
                *i == first || rows <= MAX_ROWS
            })
            .collect();
        match key.stage {
            Stage::Decode => {
                // One at a time: at full size a decoder's activations are large.
                for index in chosen {
                    for picture in model.decode(&[&samples[index]])? {
                        let _ = events.send(Event::Picture { index, picture: from_pixels(picture) });
                    }
                    finished[index] = true;
                }
            }
            stage => {
                let mut batch: Vec<&mut Sample> =
                    samples.iter_mut().enumerate().filter(|(i, _)| chosen.contains(i)).map(|(_, s)| s).collect();
                if stage == Stage::Prior { model.step_prior(&mut batch)? } else { model.step_decoder(&mut batch)? }
            }
        }
    }
}

/// Tell how far all pictures together are in the stage of the one that is furthest behind.
fn announce(samples: &[Sample], events: &mpsc::UnboundedSender<Event>) {
    let order = |stage: Stage| match stage {
        Stage::Prior => 0,
        Stage::Decoder => 1,
        Stage::Decode => 2,
    };
    let Some(stage) = samples.iter().map(Sample::stage).min_by_key(|stage| order(*stage)) else {
        return;
    };
    let (mut step, mut steps) = (0, 0);
    for progress in samples.iter().map(Sample::progress) {
        if progress.stage == stage {
            step += progress.step;
            steps += progress.steps;
        }
    }
    let stage = match stage {
        Stage::Prior => StageName::Prior,
        Stage::Decoder => StageName::Decoder,
        Stage::Decode => StageName::Decode,
    };
    let _ = events.send(Event::Progress { stage, step, steps });
}

fn from_pixels(pixels: Pixels) -> Picture {
    Picture {
        width: u32::try_from(pixels.width).unwrap_or(0),
        height: u32::try_from(pixels.height).unwrap_or(0),
        rgb: pixels.data,
    }
}
