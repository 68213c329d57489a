//! Between requests and the worker: outpainting becomes inpainting before, and kept pixels are put back after.
//!
//! Invariant: whatever is left outside of a mask is returned bit by bit where the request wants it so.

use tokio::sync::mpsc;

use crate::domain::{Failure, FailureKind, Generation, Image, Input};
use crate::engine::{Engine, Event, Order, StageName};
use crate::imaging;

/// A request that the worker has.
pub struct Running {
    events: mpsc::UnboundedReceiver<Event>,
    finish: Finish,
    images: Vec<Option<Image>>,
}

/// What is done to finished images.
pub(super) enum Finish {
    Nothing,
    Composite { original: Image, mask: Image, feather: u32 },
}

/// Hand a checked request to the worker, past the queue.
pub fn submit(engine: &Engine, generation: Generation) -> Result<Running, Failure> {
    let count = generation.common.n as usize;
    let (generation, finish) = prepare(generation);
    Ok(Running { events: engine.submit(Order::new(generation))?, finish, images: vec![None; count] })
}

impl Running {
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
pub(super) fn prepare(mut generation: Generation) -> (Generation, Finish) {
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
            Finish::Composite { original, mask, feather: input.feather }
        }
        _ => Finish::Nothing,
    };
    (generation, finish)
}

impl Finish {
    /// Put back what was kept.
    pub(super) fn apply(&self, image: Image) -> Image {
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
        let Finish::Composite { original, mask, .. } = finish else { panic!("nothing to composite") };
        assert!(original.shares_pixels_with(&brought) && mask.shares_pixels_with(&painted));
    }
}
