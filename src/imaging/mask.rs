//! Putting a repainted part back into its image.
//!
//! Invariant: a pixel that the mask keeps is returned unchanged, bit by bit, with its transparency.

use super::part::crop;
use crate::domain::{Image, Rect};

/// Mask values from here on are repainted (the reference binarises at one half).
const THRESHOLD: u8 = 128;

/// How the repainted part and its image meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edge {
    /// Width of the soft edge inside the repainted area, px.
    pub feather: u32,
    /// The values of the mask are shares of the new image. Otherwise it repaints a pixel or keeps it.
    pub soft: bool,
}

impl Edge {
    /// Whether a value of the mask leaves a pixel as it is.
    #[must_use]
    pub fn keeps(self, mark: u8) -> bool {
        mark < if self.soft { 1 } else { THRESHOLD }
    }
}

/// `painted` (RGB, of the size of `part`) where the mask repaints that part, `original` (RGB or RGBA) bit by bit elsewhere; at
/// the edge the two blend into each other. Original and mask must have one size. What is repainted is opaque. The result is all
/// that is made of the size of the original.
#[must_use]
pub fn composite(original: &Image, painted: &Image, mask: &Image, part: Rect, edge: Edge) -> Image {
    let (width, height) = (part.width as usize, part.height as usize);
    let distance = match edge.feather {
        0 => Vec::new(),
        _ => distance_to_kept(&crop(mask, part), edge, width, height),
    };
    let mut result = original.clone();
    let (channels, row) = (result.channels(), result.width() as usize);
    let inside = part.x as usize..part.x as usize + width;
    let rows = result.pixels_mut().chunks_exact_mut((row * channels).max(1)).skip(part.y as usize).take(height);
    let pixels = rows.flat_map(|row| row.chunks_exact_mut(channels).skip(part.x as usize).take(width));
    let marks = mask.pixels().chunks_exact(row.max(1)).skip(part.y as usize).flat_map(|row| &row[inside.clone()]);
    for (i, ((pixel, new), mark)) in pixels.zip(painted.pixels().chunks_exact(3)).zip(marks).enumerate() {
        if edge.keeps(*mark) {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most a few hundred px")]
        let share = distance.get(i).map_or(1.0, |d| (d / (edge.feather + 1) as f32).min(1.0));
        let share = if edge.soft { share.min(f32::from(*mark) / 255.0) } else { share };
        match pixel {
            [color @ .., alpha] if channels == Image::RGBA => blend_over(color, alpha, new, share),
            color => {
                for (x, new) in color.iter_mut().zip(new) {
                    *x = byte(f32::from(*x) + share * (f32::from(*new) - f32::from(*x)));
                }
            }
        }
    }
    result
}

/// Let `share` of a pixel be the new colour, and let what is left of it keep as much of its own as it had.
fn blend_over(color: &mut [u8], alpha: &mut u8, new: &[u8], share: f32) {
    let own = (f32::from(*alpha) / 255.0).min(1.0 - share);
    let whole = own + share;
    if whole <= 0.0 {
        return;
    }
    for (x, new) in color.iter_mut().zip(new) {
        *x = byte((own * f32::from(*x) + share * f32::from(*new)) / whole);
    }
    *alpha = byte(255.0 * whole);
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
fn byte(value: f32) -> u8 {
    value.round() as u8
}

/// Distance of every pixel to the nearest kept one, px; exact along lines, within 4 % elsewhere (two passes with the
/// weights 1 and sqrt 2).
fn distance_to_kept(mask: &Image, edge: Edge, width: usize, height: usize) -> Vec<f32> {
    const DIAGONAL: f32 = std::f32::consts::SQRT_2;
    let start = |mark: &u8| if edge.keeps(*mark) { 0.0 } else { f32::INFINITY };
    let mut distance: Vec<f32> = mask.pixels().iter().map(start).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soft_mask_blends_by_its_values_and_a_hard_one_at_one_half() {
        let original = Image::rgb(4, 1, vec![100; 12]);
        let painted = Image::rgb(4, 1, vec![200; 12]);
        let mask = Image::gray(4, 1, vec![0, 51, 204, 255]);
        let whole = Rect::whole(original.size());
        let soft = composite(&original, &painted, &mask, whole, Edge { soft: true, feather: 0 });
        assert_eq!(soft.pixels().iter().step_by(3).copied().collect::<Vec<_>>(), [100, 120, 180, 200]);
        let hard = composite(&original, &painted, &mask, whole, Edge::default());
        assert_eq!(hard.pixels().iter().step_by(3).copied().collect::<Vec<_>>(), [100, 100, 200, 200]);
    }

    #[test]
    fn a_part_goes_where_it_belongs_and_its_mask_still_keeps() {
        let original = Image::rgb(4, 3, (0..36).collect());
        let mut marks = [255; 12];
        marks[6] = 0;
        let part = Rect { x: 1, y: 1, width: 2, height: 2 };
        let painted = Image::rgb(2, 2, vec![200; 12]);
        let result = composite(&original, &painted, &Image::gray(4, 3, marks.to_vec()), part, Edge::default());
        let changed = |x: u32, y: u32| result.pixel(x, y) != original.pixel(x, y);
        let places: Vec<_> = (0..12).map(|i| (i % 4, i / 4)).filter(|(x, y)| changed(*x, *y)).collect();
        assert_eq!(places, [(1, 1), (1, 2), (2, 2)], "2, 1 is kept, and so is what is marked outside of the part");
        assert_eq!(result.pixel(2, 2), [200; 3]);
    }

    #[test]
    fn kept_pixels_keep_their_transparency_and_new_ones_are_opaque() {
        let original = Image::rgba(4, 1, vec![10, 10, 10, 0, 20, 20, 20, 90, 30, 30, 30, 0, 40, 40, 40, 255]);
        let painted = Image::rgb(4, 1, vec![200; 12]);
        let mask = Image::gray(4, 1, vec![0, 0, 102, 255]);
        let whole = Rect::whole(original.size());
        let result = composite(&original, &painted, &mask, whole, Edge { soft: true, feather: 0 });
        // Of the third pixel nothing was to be seen, so that the new colour comes in without a halo.
        assert_eq!(result.pixels(), [10, 10, 10, 0, 20, 20, 20, 90, 200, 200, 200, 102, 200, 200, 200, 255]);
    }
}
