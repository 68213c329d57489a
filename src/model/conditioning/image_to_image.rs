//! Image to image: the prompt through the prior, the decoder from the noised picture
//! (`KandinskyImg2ImgCombinedPipeline`).

use super::{Plan, Planner, Start, Term};
use crate::model::error::Result;
use crate::model::pixels::{Filter, Pixels};

pub(super) fn plan(planner: &mut Planner<'_>, prompt: &str, image: &Pixels, strength: f64) -> Result<Plan> {
    let (source, negative) = planner.prompt(prompt)?;
    let (width, height) = planner.canvas;
    let resized =
        image.resize_reducing(planner.task.width, planner.task.height, Filter::Bicubic).extend_edges(width, height);
    let start = Start::Picture { pixels: resized.to_signed_planes(), strength };
    Ok(planner.finish(vec![Term { source, weight: 1.0 }], negative, prompt.to_owned(), start))
}
