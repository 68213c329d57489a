//! Image to image: the prompt through the prior, the decoder from the noised picture
//! (`KandinskyImg2ImgCombinedPipeline`).

use crate::diffusion::pixels::{Filter, Pixels};
use crate::families::kandinsky21::conditioning::{Plan, Planner, Start, Term};
use crate::tensor::error::Result;

pub(super) fn plan(planner: &mut Planner<'_>, prompt: &str, image: &Pixels, strength: f64) -> Result<Plan> {
    let (source, negative) = planner.prompt(prompt)?;
    let (width, height) = planner.canvas;
    let resized =
        image.resize_reducing(planner.task.width, planner.task.height, Filter::Bicubic).extend_edges(width, height);
    let start = Start::Picture { pixels: resized.to_signed_planes(), strength };
    Ok(planner.finish(vec![Term { source, weight: 1.0 }], negative, prompt.to_owned(), start))
}
