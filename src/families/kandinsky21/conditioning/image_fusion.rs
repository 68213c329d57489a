//! Image fusion: the weighted sum of images' CLIP embeddings, no text (`KandinskyPriorPipeline.interpolate`).

use super::conditioner::Conditioner;
use super::needs::Needs;
use super::plan::{Plan, Source, Start, WeightedEmbedding};
use crate::modes::ImageFusion;
use crate::tensor::error::Result;

pub(super) const NEEDS: Needs = Needs { text: false, image: true, repaints: false };

pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &ImageFusion) -> Result<Plan> {
    let mut embeddings = Vec::with_capacity(input.images.len());
    for image in &input.images {
        let source = Source::Known(conditioner.model.image_embed(&image.value)?);
        embeddings.push(WeightedEmbedding { source, weight: image.weight });
    }
    let negative = conditioner.negative()?;
    Ok(conditioner.finish(embeddings, negative, None, Start::Noise))
}
