//! Image fusion: the weighted sum of images' CLIP embeddings, no text (`KandinskyPriorPipeline.interpolate`).

use crate::domain::Image;
use crate::families::kandinsky21::conditioning::{Plan, Planner, Source, Start, Term};
use crate::modes::Weighted;
use crate::tensor::error::Result;

pub(super) fn plan(planner: &mut Planner<'_>, images: &[Weighted<Image>]) -> Result<Plan> {
    let terms = images
        .iter()
        .map(|Weighted { value, weight }| {
            Ok(Term { source: Source::Known(planner.model.image_embed(value)?), weight: *weight })
        })
        .collect::<Result<_>>()?;
    let negative = planner.negative()?;
    Ok(planner.finish(terms, negative, String::new(), Start::Noise))
}
