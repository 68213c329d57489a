//! Matching the colours of a repainted part to those at its border.
//!
//! A model draws the whole image, the kept part too, with colours that are off by a few levels. How much they are off where the
//! kept part begins is known, and goes on smoothly into the new part (as in seamless cloning, Perez et al. 2003; the smooth
//! function is found by push and pull, Gortler et al. 1996).
//!
//! Invariant: a difference that is the same all along the border is gone everywhere, and no correction is larger than what was
//! seen at the border.

use crate::domain::Image;

/// Most levels that a colour is moved: what differs more is another thing, not another shade.
const MOST: f32 = 64.0;
/// Width of the border that is looked at: the longer side divided by this, px.
const BORDER_SHARE: usize = 48;
/// Its least width, px.
const LEAST_BORDER: usize = 2;
/// Weight of a pixel next to the new part. Below 1, so that several are averaged.
const WEIGHT: f32 = 0.25;
/// How often offsets are evened out with their neighbours', at each resolution.
const SWEEPS: usize = 4;

/// `painted` with the colours of what is new moved by what those of the kept part are off at the border. `is_new` says so for
/// each pixel, row by row. Both images are RGB and of one size.
#[must_use]
pub fn match_colors(painted: &Image, original: &Image, is_new: &[bool]) -> Image {
    let (width, height) = (painted.width() as usize, painted.height() as usize);
    let border = (width.max(height) / BORDER_SHARE).max(LEAST_BORDER);
    let distance = distance_to_new(is_new, width, height, border);
    let mut seen = Plane::new(width, height);
    let pairs = original.pixels().chunks_exact(3).zip(painted.pixels().chunks_exact(3));
    for (i, (known, drawn)) in pairs.enumerate() {
        let away = distance[i];
        if away == 0 || away > border {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few px")]
        let weight = WEIGHT / (away * away) as f32;
        let sum = &mut seen.sums[i];
        for c in 0..3 {
            sum[c] = weight * (f32::from(known[c]) - f32::from(drawn[c])).clamp(-MOST, MOST);
        }
        sum[3] = weight;
    }
    let offsets = seen.filled();
    let mut result = painted.clone();
    for ((pixel, offset), is_new) in result.pixels_mut().chunks_exact_mut(3).zip(&offsets).zip(is_new) {
        if *is_new {
            for (x, offset) in pixel.iter_mut().zip(offset) {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
                let moved = (f32::from(*x) + offset).round().clamp(0.0, 255.0) as u8;
                *x = moved;
            }
        }
    }
    result
}

/// Steps to the nearest new pixel, up to `most` and one more; 0 for new ones.
fn distance_to_new(is_new: &[bool], width: usize, height: usize, most: usize) -> Vec<usize> {
    let mut distance: Vec<usize> = is_new.iter().map(|is_new| if *is_new { 0 } else { most + 1 }).collect();
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            let left = if x > 0 { distance[i - 1] + 1 } else { most + 1 };
            let above = if y > 0 { distance[i - width] + 1 } else { most + 1 };
            distance[i] = distance[i].min(left).min(above);
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            let i = y * width + x;
            let right = if x + 1 < width { distance[i + 1] + 1 } else { most + 1 };
            let below = if y + 1 < height { distance[i + width] + 1 } else { most + 1 };
            distance[i] = distance[i].min(right).min(below);
        }
    }
    distance
}

/// Weighted sums of offsets, and the weights: red, green, blue, weight.
struct Plane {
    width: usize,
    height: usize,
    sums: Vec<[f32; 4]>,
}

impl Plane {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, sums: vec![[0.0; 4]; width * height] }
    }

    /// The offset of every pixel: where its weight is below 1, the rest comes from its surroundings.
    fn filled(&self) -> Vec<[f32; 3]> {
        if self.width <= 1 && self.height <= 1 {
            let mean = |[r, g, b, weight]: &[f32; 4]| {
                if *weight > 0.0 { [r / weight, g / weight, b / weight] } else { [0.0; 3] }
            };
            return self.sums.iter().map(mean).collect();
        }
        let coarse = self.halved();
        let around = coarse.filled();
        let mut filled = self.joined(|x, y| interpolated(&around, (coarse.width, coarse.height), x, y));
        for _ in 0..SWEEPS {
            filled = self.joined(|x, y| {
                let at = |x: usize, y: usize| filled[y * self.width + x];
                let (left, right) = (at(x.saturating_sub(1), y), at((x + 1).min(self.width - 1), y));
                let (above, below) = (at(x, y.saturating_sub(1)), at(x, (y + 1).min(self.height - 1)));
                [0, 1, 2].map(|c| (left[c] + right[c] + above[c] + below[c]) / 4.0)
            });
        }
        filled
    }

    /// What is known of every pixel, with what its surroundings say in place of the rest.
    fn joined(&self, surroundings: impl Fn(usize, usize) -> [f32; 3]) -> Vec<[f32; 3]> {
        let pixel = |(i, own): (usize, &[f32; 4])| {
            let (rest, from) = (1.0 - own[3].min(1.0), surroundings(i % self.width, i / self.width));
            [0, 1, 2].map(|c| own[c] + rest * from[c])
        };
        self.sums.iter().enumerate().map(pixel).collect()
    }

    /// Half as wide and high: sums over four pixels, of a weight of at most 1.
    fn halved(&self) -> Self {
        let mut half = Self::new(self.width.div_ceil(2), self.height.div_ceil(2));
        for (i, own) in self.sums.iter().enumerate() {
            let sum = &mut half.sums[i / self.width / 2 * half.width + i % self.width / 2];
            (0..4).for_each(|c| sum[c] += own[c]);
        }
        for sum in &mut half.sums {
            if sum[3] > 1.0 {
                *sum = sum.map(|x| x / sum[3]);
            }
        }
        half
    }
}

/// Linear interpolation of a plane of half the size at a pixel of the whole one.
fn interpolated(plane: &[[f32; 3]], (width, height): (usize, usize), x: usize, y: usize) -> [f32; 3] {
    // An even pixel lies a quarter before the middle of its pair, an odd one a quarter after it.
    let along = |at: usize, length: usize| {
        let pair = at / 2;
        let other = if at.is_multiple_of(2) { pair.saturating_sub(1) } else { (pair + 1).min(length - 1) };
        (pair, other)
    };
    let ((x0, x1), (y0, y1)) = (along(x, width), along(y, height));
    let at = |x: usize, y: usize, c: usize| plane[y * width + x][c];
    [0, 1, 2].map(|c| {
        let near = 0.75 * at(x0, y0, c) + 0.25 * at(x1, y0, c);
        let far = 0.75 * at(x0, y1, c) + 0.25 * at(x1, y1, c);
        0.75 * near + 0.25 * far
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gradient, drawn with colours that are off by `shade`; the left third is kept.
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "48 by 32")]
    fn drawn(shade: impl Fn(usize, usize) -> [i16; 3]) -> (Image, Image, Vec<bool>) {
        let (width, height) = (48_usize, 32_usize);
        let colors = |shade: &dyn Fn(usize, usize) -> [i16; 3]| {
            let pixel = |i: usize| {
                let (x, y) = (i % width, i / width);
                shade(x, y).map(|s| u8::try_from(80 + x as i16 + y as i16 + s).unwrap())
            };
            Image::rgb(width as u32, height as u32, (0..width * height).flat_map(pixel).collect())
        };
        let is_new = (0..width * height).map(|i| i % width >= 16).collect();
        (colors(&|_, _| [0; 3]), colors(&shade), is_new)
    }

    #[test]
    fn a_shade_that_is_off_everywhere_is_gone() {
        let (original, painted, is_new) = drawn(|_, _| [-24, 10, 3]);
        let matched = match_colors(&painted, &original, &is_new);
        for (i, is_new) in is_new.iter().enumerate() {
            let i = u32::try_from(i).unwrap();
            let (x, y) = (i % 48, i / 48);
            let wanted = if *is_new { &original } else { &painted };
            for (a, b) in matched.pixel(x, y).iter().zip(wanted.pixel(x, y)) {
                assert!(a.abs_diff(*b) <= 1, "{x},{y}: {a} {b}");
            }
        }
    }

    #[test]
    fn what_is_off_in_one_place_is_corrected_there() {
        let (original, painted, is_new) = drawn(|_, y| if y < 16 { [30, 0, 0] } else { [-30, 0, 0] });
        let matched = match_colors(&painted, &original, &is_new);
        for (y, sign) in [(2, 1), (29, -1)] {
            let moved = i16::from(painted.pixel(16, y)[0]) - i16::from(matched.pixel(16, y)[0]);
            assert!((22..=31).contains(&(sign * moved)), "row {y} moved by {moved}");
        }
    }

    #[test]
    fn nothing_moves_where_nothing_is_known() {
        let (original, painted, _) = drawn(|_, _| [50, 50, 50]);
        let all = vec![true; 48 * 32];
        assert_eq!(match_colors(&painted, &original, &all), painted);
    }
}
