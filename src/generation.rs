//! One checked request on the engine: what is done to its inputs before, and to its images after.
//!
//! Invariant: pixels outside of a mask are returned unchanged, bit for bit, where the request asks for that.

use tokio::sync::mpsc;

use crate::domain::{Failure, FailureKind, Image};
use crate::engine::{Engine, Event, GenerationRequest, StageInfo};
use crate::modes::CheckedGeneration;

mod finish;
mod prepare;
mod preview;

pub use finish::PostProcess;
pub use prepare::prepare;

/// Makes the images of prepared requests: the engine, or a stand-in for it in tests.
pub trait ImageGenerator: Send + Sync {
    /// The model's name.
    fn model_name(&self) -> &str;

    /// Side of the model's own square, px.
    fn native_size(&self) -> u32;

    /// How many requests can be worked on side by side.
    fn workers(&self) -> u32;

    /// Whether any worker is there to take requests, or will be again.
    fn is_alive(&self) -> bool {
        true
    }

    /// The devices that it works on, separated by commas; empty where there is nothing to tell.
    fn devices(&self) -> String {
        String::new()
    }

    /// Hand a request to a worker. Dropping the receiver cancels it at the next step.
    fn generate(&self, request: GenerationRequest) -> Result<mpsc::UnboundedReceiver<Event>, Failure>;
}

impl ImageGenerator for Engine {
    fn model_name(&self) -> &str {
        &self.info().name
    }

    fn native_size(&self) -> u32 {
        self.info().native_size
    }

    fn workers(&self) -> u32 {
        Engine::workers(self)
    }

    fn is_alive(&self) -> bool {
        Engine::is_alive(self)
    }

    fn devices(&self) -> String {
        Engine::devices(self).to_owned()
    }

    fn generate(&self, request: GenerationRequest) -> Result<mpsc::UnboundedReceiver<Event>, Failure> {
        self.submit(request)
    }
}

/// A request that a worker has taken.
pub struct RunningGeneration {
    events: mpsc::UnboundedReceiver<Event>,
    finish: PostProcess,
    images: Vec<Option<Image>>,
}

/// Hand a checked request to a worker directly: no job, no queue.
pub fn start_generation(engine: &Engine, generation: CheckedGeneration) -> Result<RunningGeneration, Failure> {
    let count = generation.common.n as usize;
    let (generation, finish) = prepare(generation);
    let events = engine.submit(GenerationRequest::new(generation))?;
    Ok(RunningGeneration { events, finish, images: vec![None; count] })
}

impl RunningGeneration {
    /// Wait for all images, in order. `report` is called with every step.
    pub async fn images(mut self, mut report: impl FnMut(&StageInfo, usize, usize)) -> Result<Vec<Image>, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Common, Limits};
    use crate::modes::{Generation, Inpainting, Input, Mode, TextToImage};

    fn checked(input: impl Into<Input>) -> CheckedGeneration {
        Generation { input: input.into(), common: Common::default() }.check(&Limits::UNBOUNDED, None).unwrap()
    }

    #[test]
    fn pixels_are_shared_unless_they_change() {
        let (_, finish) = prepare(checked(TextToImage { prompt: String::new() }));
        let made = Image::rgb(1, 1, vec![1, 2, 3]);
        assert!(finish.apply(made.clone()).shares_pixels_with(&made));

        let (image, mask) = (Image::rgb(1, 1, vec![4, 5, 6]), Image::gray(1, 1, vec![255]));
        let (brought, painted) = (image.clone(), mask.clone());
        let (_, finish) = prepare(checked(Inpainting::new(None, image, mask)));
        let composite = finish.composite().expect("the rest of the image is put back");
        assert!(composite.original.shares_pixels_with(&brought) && composite.mask.shares_pixels_with(&painted));
    }

    #[test]
    fn a_preview_of_a_part_is_shown_in_its_image() {
        let (image, mask) = (Image::rgb(200, 100, vec![40; 60_000]), Image::gray(200, 100, vec![0; 20_000]));
        let mut marks = mask.into_pixels();
        (50..60).for_each(|y| marks[y * 200 + 150..y * 200 + 160].fill(255));
        let mut inpainting = Inpainting::new(None, image, Image::gray(200, 100, marks));
        let part = crate::domain::Rect { x: 120, y: 20, width: 64, height: 64 };
        inpainting.repainting.work = Some(crate::modes::Work { part, drawn: part.size() });
        let (_, finish) = prepare(checked(inpainting));
        let shown = finish.preview(Image::rgb(64, 64, vec![220; 3 * 64 * 64]));
        assert_eq!((shown.width(), shown.height()), (200, 100));
        let new: Vec<usize> = (0..20_000).filter(|i| shown.pixels()[3 * i] == 220).collect();
        assert_eq!((new.len(), new[0], new[99]), (100, 50 * 200 + 150, 59 * 200 + 159));
    }

    #[test]
    fn outpainting_is_drawn_as_inpainting_of_the_larger_canvas() {
        let image = Image::rgb(2, 1, vec![1, 2, 3, 4, 5, 6]);
        let extent = crate::modes::Extent::Expand(crate::modes::Expand { right: 1, ..Default::default() });
        let mut outpainting = crate::modes::Outpainting::new(None, image, extent);
        outpainting.repainting.match_colors = false;
        let (generation, finish) = prepare(checked(outpainting));
        assert_eq!(generation.mode(), Mode::Inpainting);
        let made = Image::rgb(3, 1, vec![9; 9]);
        assert_eq!(finish.apply(made).pixels(), [1, 2, 3, 4, 5, 6, 9, 9, 9]);
    }
}
