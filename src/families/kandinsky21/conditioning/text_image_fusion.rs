//! Text+image fusion: the weighted sum of images' and texts' embeddings (`KandinskyPriorPipeline.interpolate`).

use super::conditioner::Conditioner;
use super::needs::Needs;
use super::plan::{Plan, Source, Start, WeightedEmbedding};
use crate::domain::PromptText;
use crate::families::kandinsky21::reading::{DECODER_PROMPT, DECODER_SEPARATOR};
use crate::modes::{FusionInput, TextImageFusion};
use crate::tensor::error::Result;

pub(super) const NEEDS: Needs = Needs { text: true, image: true, repaints: false };

pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &TextImageFusion) -> Result<Plan> {
    let mut embeddings = Vec::with_capacity(input.inputs.len());
    let mut texts = Vec::new();
    for (i, ingredient) in input.inputs.iter().enumerate() {
        let source = match &ingredient.value {
            FusionInput::Image(image) => Source::Known(conditioner.model.image_embed(image)?),
            FusionInput::Text(text) => {
                texts.push((format!("/inputs/{i}/prompt"), text.as_str()));
                conditioner.text(&[text])?.remove(0)
            }
        };
        embeddings.push(WeightedEmbedding { source, weight: ingredient.weight });
    }
    let negative = conditioner.negative()?;
    // Each is read by itself: what one of them leaves open ends with it.
    let texts = input.decoder_prompt.as_deref().map_or(texts, |text| vec![(DECODER_PROMPT.to_owned(), text)]);
    let texts: Vec<PromptText> =
        texts.iter().map(|(pointer, text)| conditioner.read_for_decoder(pointer, text)).collect();
    Ok(conditioner.finish_with(embeddings, negative, PromptText::join(&texts, DECODER_SEPARATOR), Start::Noise))
}
