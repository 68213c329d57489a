//! One checked request on the engine: what is done to its inputs before, and to its images after.
//!
//! Invariant: pixels outside of a mask are returned unchanged, bit for bit, where the request asks for that.

use tokio::sync::mpsc;

use crate::domain::{Failure, FailureKind, Generation, Image, Input};
use crate::engine::{Engine, Event, Order, StageName};
use crate::imaging;

/// A request that a worker has taken.
pub struct RunningGeneration {
    events: mpsc::UnboundedReceiver<Event>,
    finish: PostProcess,
    images: Vec<Option<Image>>,
}

/// What is done to the images that the model made.
pub enum PostProcess {
    Nothing,
    /// Put `original` back outside of `mask`, with an edge of `feather` px.
    Composite {
        original: Image,
        mask: Image,
        feather: u32,
    },
}

/// Hand a checked request to a worker directly: no job, no queue.
pub fn start_generation(engine: &Engine, generation: Generation) -> Result<RunningGeneration, Failure> {
    let count = generation.common.n as usize;
    let (generation, finish) = prepare(generation);
    let events = engine.submit(Order::new(generation))?;
    Ok(RunningGeneration { events, finish, images: vec![None; count] })
}

impl RunningGeneration {
    /// Wait for all images, in order. `report` is called with every step.
    pub async fn images(mut self, mut report: impl FnMut(StageName, usize, usize)) -> Result<Vec<Image>, Failure> {
        while let Some(event) = self.events.recv().await {
            match event {
                Event::Progress { stage, step, steps } => report(stage, step, steps),
                Event::Image { index, image } => {
                    if let Some(slot) = self.images.get_mut(index) {
                        *slot = Some(self.finish.apply(image));
                    }
                }
                Event::Failed(failure) => return Err(failure),
                Event::Done(_) => break,
                Event::Started | Event::Preview { .. } => {}
            }
        }
        let all: Option<Vec<Image>> = self.images.into_iter().collect();
        all.ok_or_else(|| Failure::new(FailureKind::Internal, "the worker stopped"))
    }
}

/// Turn outpainting into inpainting, and keep what is needed afterwards.
#[must_use]
pub fn prepare(mut generation: Generation) -> (Generation, PostProcess) {
    if let Input::Outpainting(input) = generation.input {
        generation.input = Input::Inpainting(input.into_inpainting());
    }
    let finish = match &generation.input {
        Input::Inpainting(input) if input.composite => {
            let (mut original, mut mask) = (input.image.clone(), input.mask.clone());
            // The model resizes its own copy, as the reference does.
            if let Some(size) = generation.common.size
                && size != original.size()
            {
                original = imaging::resize(&original, size);
                mask = imaging::resize_mask(&mask, size);
            }
            PostProcess::Composite { original, mask, feather: input.feather }
        }
        _ => PostProcess::Nothing,
    };
    (generation, finish)
}

impl PostProcess {
    /// The image as it is returned.
    #[must_use]
    pub fn apply(&self, image: Image) -> Image {
        match self {
            Self::Composite { original, mask, feather } => imaging::composite(original, &image, mask, *feather),
            Self::Nothing => image,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Common, Inpainting, TextToImage};

    #[test]
    fn pixels_are_shared_unless_they_change() {
        let text = Input::TextToImage(TextToImage { prompt: String::new() });
        let (_, finish) = prepare(Generation { input: text, common: Common::default() });
        let made = Image::rgb(1, 1, vec![1, 2, 3]);
        assert!(finish.apply(made.clone()).shares_pixels_with(&made));

        let (image, mask) = (Image::rgb(1, 1, vec![4, 5, 6]), Image::gray(1, 1, vec![255]));
        let (brought, painted) = (image.clone(), mask.clone());
        let input = Input::Inpainting(Inpainting { prompt: None, image, mask, composite: true, feather: 0 });
        let (_, finish) = prepare(Generation { input, common: Common::default() });
        let PostProcess::Composite { original, mask, .. } = finish else { panic!("nothing to composite") };
        assert!(original.shares_pixels_with(&brought) && mask.shares_pixels_with(&painted));
    }
}
