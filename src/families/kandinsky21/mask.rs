//! Masks of inpainting: from pixels to the latent grid, as `KandinskyInpaintPipeline` prepares them.
//!
//! Invariant: in here 1 keeps and 0 repaints (callers say it the other way round: white repaints).

use crate::diffusion::pixels::{self, Filter};
use crate::domain::{Image, Size};

/// A gray mask (white repaints) resized to the image and binarised at one half: 1 keeps, 0 repaints, row by row.
#[must_use]
pub fn from_image(mask: &Image, size: Size) -> Vec<f32> {
    let resized = pixels::resize(mask, size, Filter::Lanczos);
    let luma = |pixel: &[u8]| match pixel {
        // Pillow's ITU-R 601 luma in fixed point.
        [r, g, b] => (u32::from(*r) * 19_595 + u32::from(*g) * 38_470 + u32::from(*b) * 7_471 + 0x8000) >> 16,
        _ => u32::from(pixel[0]),
    };
    #[expect(clippy::cast_precision_loss, reason = "at most 255")]
    let gray = resized.pixels().chunks(resized.channels()).map(|pixel| luma(pixel) as f32 / 255.0);
    gray.map(keep).collect()
}

/// 1 where a mask value of 0..1 is below one half.
#[must_use]
pub fn keep(repaint: f32) -> f32 {
    if repaint < 0.5 { 1.0 } else { 0.0 }
}

/// Nearest-neighbour resize of a plane, `floor(i * in / out)`.
#[must_use]
pub fn resize_nearest(
    plane: &[f32],
    (height, width): (usize, usize),
    (to_height, to_width): (usize, usize),
) -> Vec<f32> {
    let mut out = Vec::with_capacity(to_height * to_width);
    for y in 0..to_height {
        for x in 0..to_width {
            out.push(plane[(y * height / to_height) * width + x * width / to_width]);
        }
    }
    out
}

/// A mask on the latent grid: one pixel speaks for each latent, as in the reference; a mask so thin that it falls between
/// all of those pixels repaints every latent that it touches.
#[must_use]
pub fn to_latents(plane: &[f32], (height, width): (usize, usize), (to_height, to_width): (usize, usize)) -> Vec<f32> {
    let mut small = resize_nearest(plane, (height, width), (to_height, to_width));
    if small.iter().all(|keep| *keep > 0.0) {
        for (i, _) in plane.iter().enumerate().filter(|(_, keep)| **keep <= 0.0) {
            small[i / width * to_height / height * to_width + i % width * to_width / width] = 0.0;
        }
    }
    small
}

/// The reference's `prepare_mask`: every repainted latent also clears its neighbours above, below, left, right, above
/// left and below right (not the other two diagonals), judged by the mask as it was.
#[must_use]
pub fn shrink_kept(mask: &[f32], height: usize, width: usize) -> Vec<f32> {
    const NEIGHBOURS: [(isize, isize); 6] = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1)];
    let mut out = mask.to_vec();
    for y in 0..height {
        for x in 0..width {
            if mask[y * width + x] != 0.0 {
                continue;
            }
            for (dy, dx) in NEIGHBOURS {
                if let (Some(ny), Some(nx)) = (y.checked_add_signed(dy), x.checked_add_signed(dx))
                    && ny < height
                    && nx < width
                {
                    out[ny * width + nx] = 0.0;
                }
            }
        }
    }
    out
}
