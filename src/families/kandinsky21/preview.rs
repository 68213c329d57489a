//! Rough images from latents, without MoVQ's decoder: each latent becomes the colour that it mostly stands for.
//!
//! Invariant: looks at latents only; nothing of the image being made depends on it.

use crate::diffusion::pixels;
use crate::domain::{Image, Size};
use crate::families::kandinsky21::movq::Movq;
use crate::tensor::error::{Error, Result};

/// Levels of each colour channel on the chart.
const LEVELS: usize = 4;
/// Latents along a side of one colour's patch. Its border mixes with its neighbours, as in photographs.
const PATCH: usize = 2;
/// Patches along a side of the chart: all colours fit.
const PATCHES: usize = 8;
/// Keeps the normal equations solvable for latents that are constant.
const RIDGE: f64 = 1e-6;

/// An affine map from the channels of a latent to red, green and blue in -1..1.
#[derive(Debug, Clone)]
pub struct LatentsToRgb {
    /// A row a colour: a weight for each channel, and the constant.
    rows: [Vec<f32>; 3],
}

impl LatentsToRgb {
    /// Fit it by least squares to what `movq` makes of a chart of 64 colours.
    pub fn fit(movq: &Movq) -> Result<Self> {
        let (factor, channels) = (movq.scale_factor() as usize, movq.latent_channels());
        let side = PATCH * PATCHES;
        let pixels = side * factor;
        let mut planes = Vec::with_capacity(3 * pixels * pixels);
        for c in 0..3 {
            for y in 0..pixels {
                planes.extend((0..pixels).map(|x| chart(x / factor, y / factor)[c]));
            }
        }
        let latents = movq.encode(planes, 1, pixels, pixels)?;
        let sample = |i: usize| -> Vec<f64> {
            (0..channels).map(|c| f64::from(latents[c * side * side + i])).chain([1.0]).collect()
        };
        let width = channels + 1;
        let mut normal = vec![0.0_f64; width * width];
        let mut right = vec![0.0_f64; width * 3];
        for i in 0..side * side {
            let (z, rgb) = (sample(i), chart(i % side, i / side));
            for row in 0..width {
                for column in 0..width {
                    normal[row * width + column] += z[row] * z[column];
                }
                for (c, value) in rgb.iter().enumerate() {
                    right[row * 3 + c] += z[row] * f64::from(*value);
                }
            }
        }
        for i in 0..width {
            normal[i * width + i] += RIDGE;
        }
        let solution = solve(normal, right, width)
            .ok_or_else(|| Error::Request("MoVQ's latents do not depend on colours".to_owned()))?;
        #[expect(clippy::cast_possible_truncation, reason = "solved in f64, applied in f32")]
        let row = |c: usize| (0..width).map(|i| solution[i * 3 + c] as f32).collect();
        Ok(Self { rows: [row(0), row(1), row(2)] })
    }

    /// The image of `[channels, height, width]` latents, `factor` pixels a latent, enlarged bilinearly.
    #[must_use]
    pub fn image(&self, latents: &[f32], size: Size, factor: u32) -> Image {
        let area = size.height as usize * size.width as usize;
        let mut planes = Vec::with_capacity(3 * area);
        for weights in &self.rows {
            planes.extend((0..area).map(|i| {
                let (constant, weights) = weights.split_last().unwrap_or((&0.0, &[]));
                constant + weights.iter().enumerate().map(|(c, w)| w * latents[c * area + i]).sum::<f32>()
            }));
        }
        enlarge(&pixels::from_signed_planes(&planes, size), factor)
    }
}

/// The colour of latent `x`, `y` of the chart, in -1..1.
#[expect(clippy::cast_precision_loss, reason = "a handful of levels")]
fn chart(x: usize, y: usize) -> [f32; 3] {
    // A step that is coprime with the number of colours, so that neighbours differ.
    const STEP: usize = 29;
    let colour = (y / PATCH * PATCHES + x / PATCH) * STEP % (LEVELS * LEVELS * LEVELS);
    let level = |i: usize| (i % LEVELS) as f32 / (LEVELS - 1) as f32 * 2.0 - 1.0;
    [level(colour), level(colour / LEVELS), level(colour / LEVELS / LEVELS)]
}

/// Solve `matrix x = right` for three right sides by Gaussian elimination; None if the matrix is singular.
fn solve(mut matrix: Vec<f64>, mut right: Vec<f64>, width: usize) -> Option<Vec<f64>> {
    for column in 0..width {
        let pivot = (column..width)
            .max_by(|a, b| matrix[a * width + column].abs().total_cmp(&matrix[b * width + column].abs()))?;
        if matrix[pivot * width + column].abs() < f64::MIN_POSITIVE || !matrix[pivot * width + column].is_finite() {
            return None;
        }
        for k in 0..width {
            matrix.swap(pivot * width + k, column * width + k);
        }
        for k in 0..3 {
            right.swap(pivot * 3 + k, column * 3 + k);
        }
        for row in (0..width).filter(|row| *row != column) {
            let factor = matrix[row * width + column] / matrix[column * width + column];
            for k in 0..width {
                matrix[row * width + k] -= factor * matrix[column * width + k];
            }
            for k in 0..3 {
                right[row * 3 + k] -= factor * right[column * 3 + k];
            }
        }
    }
    for row in 0..width {
        for k in 0..3 {
            right[row * 3 + k] /= matrix[row * width + row];
        }
    }
    Some(right)
}

/// `factor` times as wide and high, bilinearly, pixel centres aligned.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixel positions and bytes"
)]
fn enlarge(image: &Image, factor: u32) -> Image {
    let place = |at: u32, length: u32| {
        let position = ((at as f32 + 0.5) / factor as f32 - 0.5).clamp(0.0, (length - 1) as f32);
        let first = position as u32;
        (first, (first + 1).min(length - 1), position - first as f32)
    };
    let size = Size { width: image.width() * factor, height: image.height() * factor };
    let mut data = Vec::with_capacity(size.width as usize * size.height as usize * image.channels());
    for y in 0..size.height {
        let (top, bottom, down) = place(y, image.height());
        for x in 0..size.width {
            let (left, right, across) = place(x, image.width());
            for c in 0..image.channels() {
                let value = |x: u32, y: u32| f32::from(image.pixel(x, y)[c]);
                let upper = value(left, top) + across * (value(right, top) - value(left, top));
                let lower = value(left, bottom) + across * (value(right, bottom) - value(left, bottom));
                data.push((upper + down * (lower - upper)).round() as u8);
            }
        }
    }
    Image::new(size, image.channels(), data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elimination_solves_what_needs_its_rows_swapped() {
        // 2y = 4, x + y = 5, and so on with other right sides.
        let x = solve(vec![0.0, 2.0, 1.0, 1.0], vec![4.0, 2.0, 0.0, 5.0, 1.0, 3.0], 2).unwrap();
        assert_eq!(x, [3.0, 0.0, 3.0, 2.0, 1.0, 0.0]);
        assert!(solve(vec![1.0, 1.0, 1.0, 1.0], vec![0.0; 6], 2).is_none());
    }

    #[test]
    fn enlarging_keeps_corners_and_goes_gradually() {
        let small = Image::gray(2, 1, vec![0, 200]);
        let large = enlarge(&small, 4);
        assert_eq!(&large.pixels()[..8], [0, 0, 25, 75, 125, 175, 200, 200]);
        assert_eq!((large.width(), large.height()), (8, 4));
    }
}
