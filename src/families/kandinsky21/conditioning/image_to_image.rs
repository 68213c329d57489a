//! Image to image: the prompt through the prior, the decoder from the noised image
//! (`KandinskyImg2ImgCombinedPipeline`).

use super::conditioner::Conditioner;
use super::needs::Needs;
use super::plan::{Plan, Start, WeightedEmbedding};
use crate::diffusion::pixels::{self, Filter};
use crate::modes::ImageToImage;
use crate::tensor::error::Result;

pub(super) const NEEDS: Needs = Needs { text: true, image: false, repaints: false };

pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &ImageToImage) -> Result<Plan> {
    let (source, negative) = conditioner.prompt(&input.prompt)?;
    let resized = pixels::resize_reducing(&input.image, conditioner.size, Filter::Bicubic);
    let resized = pixels::extend_edges(&resized, conditioner.canvas);
    let start = Start::Image { planes: pixels::to_signed_planes(&resized), strength: input.strength };
    Ok(conditioner.finish(vec![WeightedEmbedding { source, weight: 1.0 }], negative, Some(&input.prompt), start))
}
