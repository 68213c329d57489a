//! Image variations: the image's own CLIP embedding, no text (`KandinskyPipeline` with an empty prompt).

use super::conditioner::Conditioner;
use super::needs::Needs;
use super::plan::{Plan, Source, Start, WeightedEmbedding};
use crate::modes::ImageVariations;
use crate::tensor::error::Result;

pub(super) const NEEDS: Needs = Needs { text: false, image: true, repaints: false };

pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &ImageVariations) -> Result<Plan> {
    let source = Source::Known(conditioner.model.image_embed(&input.image)?);
    let negative = conditioner.negative()?;
    Ok(conditioner.finish(vec![WeightedEmbedding { source, weight: 1.0 }], negative, None, Start::Noise))
}
