//! Inpainting: the 9-channel decoder sees the picture without its masked part (`KandinskyInpaintCombinedPipeline`).
//!
//! Without a prompt the picture conditions itself: its CLIP embedding, with the masked part filled by the mean colour of
//! the rest, so that the decoder continues what is there.

use crate::diffusion::pixels::{Filter, Pixels};
use crate::families::kandinsky21::conditioning::{Plan, Planner, Source, Start, Term};
use crate::families::kandinsky21::mask;
use crate::tensor::error::Result;

pub(super) fn plan(planner: &mut Planner<'_>, prompt: Option<&str>, image: &Pixels, mask: &Pixels) -> Result<Plan> {
    let (width, height) = (planner.task.width, planner.task.height);
    let (canvas_width, canvas_height) = planner.canvas;
    let picture = image.resize_reducing(width, height, Filter::Bicubic);
    let keep = mask::from_picture(mask, width, height);

    let known = planner.model.zero_embed().is_some();
    let (source, negative) = match prompt {
        None if known => {
            let source = Source::Known(planner.model.image_embed(&fill_masked(&picture, &keep))?);
            (source, planner.negative()?)
        }
        prompt => planner.prompt(prompt.unwrap_or(""))?,
    };
    // Beyond the picture, the latents' canvas repeats its border, masked or not; all of it is cropped away.
    let full = (0..canvas_width * canvas_height)
        .map(|i| keep[(i / canvas_width).min(height - 1) * width + (i % canvas_width).min(width - 1)])
        .collect();
    let start =
        Start::Inpainting { pixels: picture.extend_edges(canvas_width, canvas_height).to_signed_planes(), mask: full };
    let text = prompt.unwrap_or("").to_owned();
    Ok(planner.finish(vec![Term { source, weight: 1.0 }], negative, text, start))
}

/// The picture with the mean of its kept pixels where the mask repaints.
#[expect(clippy::cast_possible_truncation, reason = "a mean of bytes")]
fn fill_masked(picture: &Pixels, keep: &[f32]) -> Pixels {
    let mut sums = vec![0_u64; picture.channels];
    let mut count = 0_u64;
    for (pixel, keep) in picture.data.chunks(picture.channels).zip(keep) {
        if *keep > 0.0 {
            count += 1;
            sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += u64::from(*x));
        }
    }
    let mean: Vec<u8> = sums.into_iter().map(|sum| (sum / count.max(1)) as u8).collect();
    let mut filled = picture.clone();
    for (pixel, keep) in filled.data.chunks_mut(picture.channels).zip(keep) {
        if *keep <= 0.0 {
            pixel.copy_from_slice(&mean);
        }
    }
    filled
}
