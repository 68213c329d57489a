//! Masks of inpainting: from pixels to the latent grid, as `KandinskyInpaintPipeline` prepares them.
//!
//! Invariant: in here 1 keeps and 0 repaints (callers say it the other way round: white repaints).

use crate::diffusion::pixels::{self, Filter};
use crate::domain::{Image, Size};

/// A gray mask (white repaints) resized to the image and binarised at one half: 1 keeps, 0 repaints, row by row. A mask so
/// thin that nothing of it is left then repaints every pixel that it touches.
#[must_use]
pub fn from_image(mask: &Image, size: Size) -> Vec<f32> {
    let mut resized = binarise(&pixels::resize(mask, size, Filter::Lanczos));
    repaint_lost(&mut resized, shape(size), &binarise(mask), shape(mask.size()));
    resized
}

fn shape(size: Size) -> (usize, usize) {
    (size.height as usize, size.width as usize)
}

/// 1 keeps, 0 repaints.
fn binarise(mask: &Image) -> Vec<f32> {
    let luma = |pixel: &[u8]| match pixel {
        // Pillow's ITU-R 601 luma in fixed point.
        [r, g, b] => (u32::from(*r) * 19_595 + u32::from(*g) * 38_470 + u32::from(*b) * 7_471 + 0x8000) >> 16,
        _ => u32::from(pixel[0]),
    };
    #[expect(clippy::cast_precision_loss, reason = "at most 255")]
    let gray = mask.pixels().chunks(mask.channels()).map(|pixel| luma(pixel) as f32 / 255.0);
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
pub fn to_latents(plane: &[f32], shape: (usize, usize), to_shape: (usize, usize)) -> Vec<f32> {
    let mut small = resize_nearest(plane, shape, to_shape);
    repaint_lost(&mut small, to_shape, plane, shape);
    small
}

/// If nothing is repainted of a resized mask, repaint all that the mask touches.
fn repaint_lost(
    resized: &mut [f32],
    (to_height, to_width): (usize, usize),
    plane: &[f32],
    (height, width): (usize, usize),
) {
    if resized.iter().any(|keep| *keep <= 0.0) {
        return;
    }
    let touched = |at: usize, from: usize, to: usize| at * to / from..((at + 1) * to).div_ceil(from);
    for (i, _) in plane.iter().enumerate().filter(|(_, keep)| **keep <= 0.0) {
        for y in touched(i / width, height, to_height) {
            for x in touched(i % width, width, to_width) {
                resized[y * to_width + x] = 0.0;
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A mask of which these columns are white.
    fn columns(side: u32, is_white: impl Fn(u32) -> bool) -> Image {
        Image::gray(side, side, (0..side * side).map(|i| if is_white(i % side) { 255 } else { 0 }).collect())
    }

    #[test]
    fn a_line_too_thin_for_the_filter_repaints_what_it_touches() {
        for x in [8, 9] {
            let keep = from_image(&columns(16, |i| i == x), Size { width: 8, height: 8 });
            let repainted = |i: usize| if i % 8 == 4 { 0.0 } else { 1.0 };
            assert_eq!(keep, (0..64).map(repainted).collect::<Vec<_>>(), "column {x}");
        }
        // The middle one of three columns has a share in both of two.
        let keep = from_image(&columns(9, |i| i == 4), Size { width: 2, height: 1 });
        assert_eq!(keep, [0.0, 0.0]);
    }

    #[test]
    fn a_mask_that_survives_the_filter_stays_as_it_is() {
        let keep = from_image(&columns(16, |i| i == 1 || (8..12).contains(&i)), Size { width: 8, height: 8 });
        let repainted = |i: usize| if [4, 5].contains(&(i % 8)) { 0.0 } else { 1.0 };
        assert_eq!(keep, (0..64).map(repainted).collect::<Vec<_>>());
    }
}
