//! Text to image: the prompt through the prior, the decoder from noise (`KandinskyCombinedPipeline`).

use super::conditioner::Conditioner;
use super::needs::Needs;
use super::plan::{Plan, Start, WeightedEmbedding};
use crate::modes::TextToImage;
use crate::tensor::error::Result;

pub(super) const NEEDS: Needs = Needs { text: true, image: false, repaints: false };

pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &TextToImage) -> Result<Plan> {
    let (source, negative) = conditioner.prompt(&input.prompt)?;
    Ok(conditioner.finish(vec![WeightedEmbedding { source, weight: 1.0 }], negative, Some(&input.prompt), Start::Noise))
}
