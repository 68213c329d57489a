//! Image to image: the prompt through the prior, the decoder from the noised image
//! (`KandinskyImg2ImgCombinedPipeline`).

use crate::diffusion::pixels::{self, Filter};
use crate::domain::Image;
use crate::families::kandinsky21::conditioning::{Plan, Planner, Start, Term};
use crate::tensor::error::Result;

pub(super) fn plan(planner: &mut Planner<'_>, prompt: &str, image: &Image, strength: f64) -> Result<Plan> {
    let (source, negative) = planner.prompt(prompt)?;
    let resized = pixels::resize_reducing(image, planner.task.size, Filter::Bicubic);
    let resized = pixels::extend_edges(&resized, planner.canvas);
    let start = Start::Image { planes: pixels::to_signed_planes(&resized), strength };
    Ok(planner.finish(vec![Term { source, weight: 1.0 }], negative, prompt.to_owned(), start))
}
