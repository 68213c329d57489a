//! Text+image fusion: the weighted sum of images' and texts' embeddings (`KandinskyPriorPipeline.interpolate`).

use super::conditioner::Conditioner;
use super::needs::Needs;
use super::plan::{Plan, Source, Start, WeightedEmbedding};
use crate::modes::{FusionInput, TextImageFusion};
use crate::tensor::error::Result;

pub(super) const NEEDS: Needs = Needs { text: true, image: true, repaints: false };

/// What joins the texts into the decoder's prompt.
const SEPARATOR: &str = ", ";

pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &TextImageFusion) -> Result<Plan> {
    let mut embeddings = Vec::with_capacity(input.inputs.len());
    let mut texts = Vec::new();
    for ingredient in &input.inputs {
        let source = match &ingredient.value {
            FusionInput::Image(image) => Source::Known(conditioner.model.image_embed(image)?),
            FusionInput::Text(text) => {
                texts.push(text.as_str());
                conditioner.text(&[text])?.remove(0)
            }
        };
        embeddings.push(WeightedEmbedding { source, weight: ingredient.weight });
    }
    let negative = conditioner.negative()?;
    let prompt = input.decoder_prompt.clone().unwrap_or_else(|| texts.join(SEPARATOR));
    Ok(conditioner.finish(embeddings, negative, prompt, Start::Noise))
}
