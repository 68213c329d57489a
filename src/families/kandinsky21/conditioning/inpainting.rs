//! Inpainting: the 9-channel decoder sees the image without its masked part (`KandinskyInpaintCombinedPipeline`).
//!
//! Without a prompt the image conditions itself: its CLIP embedding, with the masked part filled by the mean colour of
//! the rest, so that the decoder continues what is there.

use crate::diffusion::pixels::{self, Filter};
use crate::domain::Image;
use crate::families::kandinsky21::conditioning::{Plan, Planner, Source, Start, Term};
use crate::families::kandinsky21::mask;
use crate::tensor::error::Result;

pub(super) fn plan(planner: &mut Planner<'_>, prompt: Option<&str>, image: &Image, mask: &Image) -> Result<Plan> {
    let image = pixels::resize_reducing(image, planner.task.size, Filter::Bicubic);
    let keep = mask::from_image(mask, planner.task.size);

    let known = planner.model.zero_embed().is_some();
    let (source, negative) = match prompt {
        None if known => {
            let source = Source::Known(planner.model.image_embed(&fill_masked(&image, &keep))?);
            (source, planner.negative()?)
        }
        prompt => planner.prompt(prompt.unwrap_or(""))?,
    };
    let (width, height) = (planner.task.size.width as usize, planner.task.size.height as usize);
    let (canvas_width, canvas_height) = (planner.canvas.width as usize, planner.canvas.height as usize);
    // Beyond the image, the latents' canvas repeats its border, masked or not; all of it is cropped away.
    let full = (0..canvas_width * canvas_height)
        .map(|i| keep[(i / canvas_width).min(height - 1) * width + (i % canvas_width).min(width - 1)])
        .collect();
    let planes = pixels::to_signed_planes(&pixels::extend_edges(&image, planner.canvas));
    let start = Start::Inpainting { planes, mask: full };
    let text = prompt.unwrap_or("").to_owned();
    Ok(planner.finish(vec![Term { source, weight: 1.0 }], negative, text, start))
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
