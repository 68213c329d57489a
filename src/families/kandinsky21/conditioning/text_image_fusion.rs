//! Text+image fusion: the weighted sum of images' and texts' embeddings (`KandinskyPriorPipeline.interpolate`).

use crate::families::kandinsky21::conditioning::{Plan, Planner, Source, Start, Term};
use crate::modes::{FusionInput, Weighted};
use crate::tensor::error::Result;

/// What joins the texts into the decoder's prompt.
const SEPARATOR: &str = ", ";

pub(super) fn plan(
    planner: &mut Planner<'_>,
    inputs: &[Weighted<FusionInput>],
    decoder_prompt: Option<&str>,
) -> Result<Plan> {
    let mut terms = Vec::with_capacity(inputs.len());
    let mut texts = Vec::new();
    for Weighted { value, weight } in inputs {
        let source = match value {
            FusionInput::Image(image) => Source::Known(planner.model.image_embed(image)?),
            FusionInput::Text(text) => {
                texts.push(text.as_str());
                planner.text(&[text])?.remove(0)
            }
        };
        terms.push(Term { source, weight: *weight });
    }
    let negative = planner.negative()?;
    let prompt = decoder_prompt.map_or_else(|| texts.join(SEPARATOR), str::to_owned);
    Ok(planner.finish(terms, negative, prompt, Start::Noise))
}
