//! Inpainting: the 9-channel decoder sees the image without its masked part (`KandinskyInpaintCombinedPipeline`).
//!
//! Without a prompt the image conditions itself: its CLIP embedding, with the masked part filled from the nearest kept pixels,
//! so that the decoder continues what is there.

use super::conditioner::Conditioner;
use super::needs::Needs;
use super::plan::{Plan, Source, Start, WeightedEmbedding};
use crate::diffusion::pixels::{self, Filter};
use crate::families::kandinsky21::{fill, mask};
use crate::modes::Inpainting;
use crate::tensor::error::Result;

/// Without a prompt the image conditions itself or, where there is no image encoder, the empty text does.
pub(super) const NEEDS: Needs = Needs { text: true, image: false, repaints: true };

pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &Inpainting) -> Result<Plan> {
    let prompt = input.prompt.as_deref();
    let image = pixels::resize_reducing(&input.image, conditioner.size, Filter::Bicubic);
    let keep = mask::from_image(&input.mask, conditioner.size);

    let filled = match prompt {
        None if conditioner.model.zero_embed().is_some() => fill::from_nearest(&image, &keep),
        _ => None,
    };
    let (source, negative) = match filled {
        Some(filled) => (Source::Known(conditioner.model.image_embed(&filled)?), conditioner.negative()?),
        None => conditioner.prompt(prompt.unwrap_or(""))?,
    };
    let (width, height) = (conditioner.size.width as usize, conditioner.size.height as usize);
    let (canvas_width, canvas_height) = (conditioner.canvas.width as usize, conditioner.canvas.height as usize);
    // Beyond the image, the latents' canvas repeats its border, masked or not; all of it is cropped away.
    let full = (0..canvas_width * canvas_height)
        .map(|i| keep[(i / canvas_width).min(height - 1) * width + (i % canvas_width).min(width - 1)])
        .collect();
    let planes = pixels::to_signed_planes(&pixels::extend_edges(&image, conditioner.canvas));
    let start = Start::Inpainting { planes, mask: full };
    Ok(conditioner.finish(vec![WeightedEmbedding { source, weight: 1.0 }], negative, prompt, start))
}
