//! Inpainting: the 9-channel decoder sees the image without its masked part (`KandinskyInpaintCombinedPipeline`).
//!
//! Without a prompt the image conditions itself: its CLIP embedding, with the masked part filled by the mean colour of
//! the rest, so that the decoder continues what is there.

use super::conditioner::Conditioner;
use super::needs::Needs;
use super::plan::{Plan, Source, Start, WeightedEmbedding};
use crate::diffusion::pixels::{self, Filter};
use crate::domain::Image;
use crate::families::kandinsky21::mask;
use crate::modes::Inpainting;
use crate::tensor::error::Result;

/// Without a prompt the image conditions itself or, where there is no image encoder, the empty text does.
pub(super) const NEEDS: Needs = Needs { text: true, image: false, repaints: true };

pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &Inpainting) -> Result<Plan> {
    let prompt = input.prompt.as_deref();
    let image = pixels::resize_reducing(&input.image, conditioner.size, Filter::Bicubic);
    let keep = mask::from_image(&input.mask, conditioner.size);

    let known = conditioner.model.zero_embed().is_some();
    let (source, negative) = match prompt {
        None if known => {
            let source = Source::Known(conditioner.model.image_embed(&fill_masked(&image, &keep))?);
            (source, conditioner.negative()?)
        }
        prompt => conditioner.prompt(prompt.unwrap_or(""))?,
    };
    let (width, height) = (conditioner.size.width as usize, conditioner.size.height as usize);
    let (canvas_width, canvas_height) = (conditioner.canvas.width as usize, conditioner.canvas.height as usize);
    // Beyond the image, the latents' canvas repeats its border, masked or not; all of it is cropped away.
    let full = (0..canvas_width * canvas_height)
        .map(|i| keep[(i / canvas_width).min(height - 1) * width + (i % canvas_width).min(width - 1)])
        .collect();
    let planes = pixels::to_signed_planes(&pixels::extend_edges(&image, conditioner.canvas));
    let start = Start::Inpainting { planes, mask: full };
    let text = prompt.unwrap_or("").to_owned();
    Ok(conditioner.finish(vec![WeightedEmbedding { source, weight: 1.0 }], negative, text, start))
}

/// The image with the mean of its kept pixels where the mask repaints.
#[expect(clippy::cast_possible_truncation, reason = "a mean of bytes")]
fn fill_masked(image: &Image, keep: &[f32]) -> Image {
    let channels = image.channels();
    let mut sums = vec![0_u64; channels];
    let mut count = 0_u64;
    for (pixel, keep) in image.pixels().chunks(channels).zip(keep) {
        if *keep > 0.0 {
            count += 1;
            sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += u64::from(*x));
        }
    }
    let mean: Vec<u8> = sums.into_iter().map(|sum| (sum / count.max(1)) as u8).collect();
    let mut filled = image.clone();
    for (pixel, keep) in filled.pixels_mut().chunks_mut(channels).zip(keep) {
        if *keep <= 0.0 {
            pixel.copy_from_slice(&mean);
        }
    }
    filled
}
