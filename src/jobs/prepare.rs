//! Between requests and the worker: outpainting becomes inpainting before, and kept pixels are put back after.
//!
//! Invariant: whatever is left outside of a mask is returned bit by bit where the request wants it so.

use tokio::sync::mpsc;

use crate::domain::{Failure, FailureKind, Generation, Input, Mask, Picture, Size};
use crate::engine::{Engine, Event, Order, StageName};
use crate::imaging;

/// A request that the worker has.
pub struct Running {
    events: mpsc::UnboundedReceiver<Event>,
    finish: Finish,
    pictures: Vec<Option<Picture>>,
}

/// What is done to finished pictures.
pub(super) enum Finish {
    Nothing,
    Composite { original: Picture, mask: Mask, feather: u32 },
}

/// Hand a checked request to the worker, past the queue.
pub fn submit(engine: &Engine, generation: Generation) -> Result<Running, Failure> {
    let count = generation.common.n as usize;
    let (generation, finish) = prepare(generation);
    Ok(Running { events: engine.submit(Order::new(generation))?, finish, pictures: vec![None; count] })
}

impl Running {
    /// Wait for all pictures, in order. `report` is called with every step.
    pub async fn pictures(mut self, mut report: impl FnMut(StageName, usize, usize)) -> Result<Vec<Picture>, Failure> {
        while let Some(event) = self.events.recv().await {
            match event {
                Event::Progress { stage, step, steps } => report(stage, step, steps),
                Event::Picture { index, picture } => {
                    if let Some(slot) = self.pictures.get_mut(index) {
                        *slot = Some(self.finish.apply(picture));
                    }
                }
                Event::Failed(failure) => return Err(failure),
                Event::Done(_) => break,
                Event::Started | Event::Preview { .. } => {}
            }
        }
        let all: Option<Vec<Picture>> = self.pictures.into_iter().collect();
        all.ok_or_else(|| Failure::new(FailureKind::Internal, "the worker stopped"))
    }
}

/// Turn outpainting into inpainting, and keep what is needed afterwards.
pub(super) fn prepare(mut generation: Generation) -> (Generation, Finish) {
    if let Input::Outpainting(input) = generation.input {
        generation.input = Input::Inpainting(input.into_inpainting());
    }
    let finish = match &generation.input {
        Input::Inpainting(input) if input.composite => {
            let (mut original, mut mask) = (input.image.clone(), input.mask.clone());
            // The model resizes its own copy, as the reference does.
            if let Some(size) = generation.common.size
                && size != (Size { width: original.width, height: original.height })
            {
                original = imaging::resize(&original, size);
                mask = imaging::resize_mask(&mask, size);
            }
            Finish::Composite { original, mask, feather: input.feather }
        }
        _ => Finish::Nothing,
    };
    (generation, finish)
}

impl Finish {
    /// Put back what was kept.
    pub(super) fn apply(&self, picture: Picture) -> Picture {
        match self {
            Self::Composite { original, mask, feather } => imaging::composite(original, &picture, mask, *feather),
            Self::Nothing => picture,
        }
    }
}
