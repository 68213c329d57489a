//! Between requests and the worker: pictures are brought to size before and put back into their originals after.
//!
//! Invariant: whatever is left outside of a mask is returned bit by bit where the request wants it so.

use tokio::sync::mpsc;

use crate::domain::{Failure, FailureKind, Generation, Inpainting, Input, Mask, Picture, Size};
use crate::engine::{Engine, Event, StageName};
use crate::imaging;

/// A request that the worker has.
pub struct Running {
    events: mpsc::UnboundedReceiver<Event>,
    finish: Finish,
    pictures: Vec<Option<Picture>>,
}

/// What is done to finished pictures.
enum Finish {
    Nothing,
    Composite { original: Picture, mask: Mask, feather: u32 },
}

/// Hand a checked request to the worker.
pub fn submit(engine: &Engine, generation: Generation) -> Result<Running, Failure> {
    let count = generation.common.n as usize;
    let (generation, finish) = prepare(generation);
    Ok(Running { events: engine.submit(generation)?, finish, pictures: vec![None; count] })
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
                Event::Done => break,
            }
        }
        let all: Option<Vec<Picture>> = self.pictures.into_iter().collect();
        all.ok_or_else(|| Failure::new(FailureKind::Internal, "the worker stopped"))
    }
}

/// Turn outpainting into inpainting, bring pictures to the size asked for, and keep what is needed afterwards.
fn prepare(mut generation: Generation) -> (Generation, Finish) {
    if let Input::Outpainting(input) = generation.input {
        generation.input = Input::Inpainting(input.into_inpainting());
    }
    let asked = generation.common.size;
    let finish = match &mut generation.input {
        Input::Inpainting(input) => {
            if let Some(size) = asked {
                fit(input, size);
            }
            if input.composite {
                Finish::Composite { original: input.image.clone(), mask: input.mask.clone(), feather: input.feather }
            } else {
                Finish::Nothing
            }
        }
        _ => Finish::Nothing,
    };
    (generation, finish)
}

/// Resize picture and mask, unless they have that size.
fn fit(input: &mut Inpainting, size: Size) {
    if (input.image.width, input.image.height) != (size.width, size.height) {
        input.image = imaging::resize(&input.image, size);
        input.mask = imaging::resize_mask(&input.mask, size);
    }
}

impl Finish {
    fn apply(&self, picture: Picture) -> Picture {
        match self {
            Self::Composite { original, mask, feather } => imaging::composite(original, &picture, mask, *feather),
            Self::Nothing => picture,
        }
    }
}
