//! Putting a repainted part back into its image.

use crate::domain::Image;

/// Mask values from here on are repainted (the reference binarises at one half).
const THRESHOLD: u8 = 128;

/// `painted` where the mask repaints, `original` bit by bit elsewhere; over `feather` px inside the repainted area the
/// two blend into each other. All three must have one size.
#[must_use]
pub fn composite(original: &Image, painted: &Image, mask: &Image, feather: u32) -> Image {
    let (width, height) = (original.width() as usize, original.height() as usize);
    let distance = if feather == 0 { Vec::new() } else { distance_to_kept(mask, width, height) };
    let mut result = original.clone();
    let pixels = result.pixels_mut().chunks_exact_mut(3).zip(painted.pixels().chunks_exact(3)).zip(mask.pixels());
    for (i, ((pixel, new), repaint)) in pixels.enumerate() {
        if *repaint < THRESHOLD {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most a few hundred px")]
        let share = distance.get(i).map_or(1.0, |d| (d / (feather + 1) as f32).min(1.0));
        for (x, new) in pixel.iter_mut().zip(new) {
            let blended = f32::from(*x) + share * (f32::from(*new) - f32::from(*x));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
            let byte = blended.round() as u8;
            *x = byte;
        }
    }
    result
}

/// Distance of every pixel to the nearest kept one, px; exact along lines, within 4 % elsewhere (two passes with the
/// weights 1 and sqrt 2).
fn distance_to_kept(mask: &Image, width: usize, height: usize) -> Vec<f32> {
    const DIAGONAL: f32 = std::f32::consts::SQRT_2;
    let mut distance: Vec<f32> =
        mask.pixels().iter().map(|repaint| if *repaint < THRESHOLD { 0.0 } else { f32::INFINITY }).collect();
    let relax = |distance: &mut Vec<f32>, x: usize, y: usize, steps: [(isize, isize, f32); 4]| {
        for (dx, dy, cost) in steps {
            if let (Some(nx), Some(ny)) = (x.checked_add_signed(dx), y.checked_add_signed(dy))
                && nx < width
                && ny < height
            {
                let through = distance[ny * width + nx] + cost;
                let here = &mut distance[y * width + x];
                *here = here.min(through);
            }
        }
    };
    for y in 0..height {
        for x in 0..width {
            relax(&mut distance, x, y, [(-1, 0, 1.0), (0, -1, 1.0), (-1, -1, DIAGONAL), (1, -1, DIAGONAL)]);
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            relax(&mut distance, x, y, [(1, 0, 1.0), (0, 1, 1.0), (1, 1, DIAGONAL), (-1, 1, DIAGONAL)]);
        }
    }
    distance
}
