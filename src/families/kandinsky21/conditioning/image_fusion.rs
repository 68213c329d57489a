//! Image fusion: the weighted sum of pictures' CLIP embeddings, no text (`KandinskyPriorPipeline.interpolate`).

use std::rc::Rc;

use crate::diffusion::pixels::Pixels;
use crate::families::kandinsky21::conditioning::{Plan, Planner, Source, Start, Term};
use crate::tensor::error::Result;

pub(super) fn plan(planner: &mut Planner<'_>, images: &[(Rc<Pixels>, f32)]) -> Result<Plan> {
    let terms = images
        .iter()
        .map(|(image, weight)| Ok(Term { source: Source::Known(planner.model.image_embed(image)?), weight: *weight }))
        .collect::<Result<_>>()?;
    let negative = planner.negative()?;
    Ok(planner.finish(terms, negative, String::new(), Start::Noise))
}
