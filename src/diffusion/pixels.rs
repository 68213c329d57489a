//! Pillow's operations on 8-bit images, bit for bit.
//!
//! Invariant: resized pixels equal Pillow's (all versions that resample horizontally first), because the networks amplify
//! differences in their input: 0.5 % in the pixels become several per cent in the image.

use std::ops::Range;

use crate::domain::{Image, Rect, Size};

/// Resampling filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Cubic convolution with a = -0.5.
    Bicubic,
    Lanczos,
}

/// Bits of the fixed-point filter weights.
const PRECISION: u32 = 22;

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let sinc = |x: f64| {
            let x = x * std::f64::consts::PI;
            if x == 0.0 { 1.0 } else { x.sin() / x }
        };
        let x = x.abs();
        match self {
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

/// `Image.resize(size, filter)`.
#[must_use]
pub fn resize(image: &Image, size: Size, filter: Filter) -> Image {
    resize_part(image, size, Rect::whole(size), filter)
}

/// This part of `Image.resize(size, filter)`; the rest of it takes neither time nor memory.
#[must_use]
pub fn resize_part(image: &Image, size: Size, part: Rect, filter: Filter) -> Image {
    resample(image, size, part, (f64::from(image.width()), f64::from(image.height())), filter)
}

/// `Image.resize(size, filter, reducing_gap=1.0)`: shrinking by two or more starts with an average over blocks.
#[must_use]
pub fn resize_reducing(image: &Image, size: Size, filter: Filter) -> Image {
    let (fx, fy) = ((image.width() / size.width.max(1)).max(1), (image.height() / size.height.max(1)).max(1));
    if fx == 1 && fy == 1 {
        return resize(image, size, filter);
    }
    let area = (f64::from(image.width()) / f64::from(fx), f64::from(image.height()) / f64::from(fy));
    resample(&reduce(image, fx, fy), size, Rect::whole(size), area, filter)
}

/// `Image.reduce((fx, fy))`: averages of blocks, smaller ones at the right and bottom border.
#[expect(clippy::cast_possible_truncation, reason = "an average of bytes")]
fn reduce(image: &Image, fx: u32, fy: u32) -> Image {
    let size = Size { width: image.width().div_ceil(fx), height: image.height().div_ceil(fy) };
    let mut data = Vec::with_capacity(bytes(size, image.channels()));
    for by in 0..size.height {
        for bx in 0..size.width {
            let ys = by * fy..(by * fy).saturating_add(fy).min(image.height());
            let xs = bx * fx..(bx * fx).saturating_add(fx).min(image.width());
            let count = (ys.len() * xs.len()) as u64;
            let multiplier = (1_u64 << 24) / count;
            for c in 0..image.channels() {
                let sum: u64 = ys
                    .clone()
                    .flat_map(|y| xs.clone().map(move |x| (x, y)))
                    .map(|(x, y)| u64::from(image.pixel(x, y)[c]))
                    .sum();
                data.push((((sum + count / 2) * multiplier) >> 24) as u8);
            }
        }
    }
    Image::new(size, image.channels(), data)
}

/// A part of the area from the top left corner to `area`, resampled to `size`: first rows, then columns, rounded in between.
fn resample(image: &Image, size: Size, part: Rect, area: (f64, f64), filter: Filter) -> Image {
    #[expect(clippy::float_cmp, reason = "sides of images are exact in f64")]
    let same = |from: u32, area: f64, to: u32| from == to && area == f64::from(to);
    let channels = image.channels();
    let (columns, rows) = (part.x..part.x + part.width, part.y..part.y + part.height);
    let vertical = (!same(image.height(), area.1, size.height))
        .then(|| Taps::new(image.height(), (area.1, size.height), rows.clone(), filter));
    // The rows of the image that the part is made of.
    let used = vertical.as_ref().map_or(rows, Taps::inputs);
    let used_size = Size { width: part.width, height: used.end - used.start };
    let mut result = if same(image.width(), area.0, size.width) {
        crop(image, i64::from(part.x), i64::from(used.start), used_size)
    } else {
        let taps = Taps::new(image.width(), (area.0, size.width), columns, filter);
        let (from, row) = (image.pixels(), image.width() as usize * channels);
        let mut data = Vec::with_capacity(bytes(used_size, channels));
        for y in used.clone() {
            let from = &from[y as usize * row..];
            for x in 0..part.width as usize {
                for c in 0..channels {
                    data.push(taps.apply(x, |i| from[i * channels + c]));
                }
            }
        }
        Image::new(used_size, channels, data)
    };
    if let Some(taps) = vertical {
        let (from, row) = (result.pixels(), part.width as usize * channels);
        let mut data = Vec::with_capacity(bytes(part.size(), channels));
        for y in 0..part.height as usize {
            for i in 0..row {
                data.push(taps.apply(y, |at| from[(at - used.start as usize) * row + i]));
            }
        }
        result = Image::new(part.size(), channels, data);
    }
    result
}

/// The part of `size` pixels at `left`, `top`; outside of the image it is black. The whole image is shared, not copied.
#[must_use]
pub fn crop(image: &Image, left: i64, top: i64, size: Size) -> Image {
    if (left, top) == (0, 0) && size == image.size() {
        return image.clone();
    }
    let channels = image.channels();
    let mut data = vec![0; bytes(size, channels)];
    let inside = |start: i64, offset: u32, side: u32| {
        u32::try_from(start.saturating_add(i64::from(offset))).ok().filter(|at| *at < side)
    };
    for (y, row) in (0..size.height).zip(data.chunks_exact_mut((size.width as usize * channels).max(1))) {
        let Some(from_y) = inside(top, y, image.height()) else { continue };
        for (x, pixel) in (0..size.width).zip(row.chunks_exact_mut(channels)) {
            if let Some(from_x) = inside(left, x, image.width()) {
                pixel.copy_from_slice(image.pixel(from_x, from_y));
            }
        }
    }
    Image::new(size, channels, data)
}

/// Enlarge to at least the given size by repeating the right and bottom border.
#[must_use]
pub fn extend_edges(image: &Image, size: Size) -> Image {
    let size = Size { width: size.width.max(image.width()), height: size.height.max(image.height()) };
    if size == image.size() {
        return image.clone();
    }
    let mut data = Vec::with_capacity(bytes(size, image.channels()));
    for y in 0..size.height {
        for x in 0..size.width {
            data.extend_from_slice(image.pixel(x.min(image.width() - 1), y.min(image.height() - 1)));
        }
    }
    Image::new(size, image.channels(), data)
}

/// `[channels, height, width]` in -1..1, as diffusers prepares images for the encoder: 2 (x / 255) - 1.
#[must_use]
pub fn to_signed_planes(image: &Image) -> Vec<f32> {
    planes(image, |x| 2.0 * (f32::from(x) / 255.0) - 1.0)
}

/// `[channels, height, width]`, each sample through `f`.
#[must_use]
pub fn planes(image: &Image, f: impl Fn(u8) -> f32) -> Vec<f32> {
    let channels = image.channels();
    (0..channels).flat_map(|c| image.pixels().iter().skip(c).step_by(channels)).map(|x| f(*x)).collect()
}

/// From `[channels, height, width]` around -1..1: `round((x / 2 + 0.5) * 255)`, ties to even.
///
/// # Panics
///
/// If `planes` are not whole channels of this size.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
pub fn from_signed_planes(planes: &[f32], size: Size) -> Image {
    let area = size.width as usize * size.height as usize;
    let channels = planes.len() / area.max(1);
    let data = (0..area)
        .flat_map(|i| (0..channels).map(move |c| planes[c * area + i]))
        .map(|x| ((x * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8)
        .collect();
    Image::new(size, channels, data)
}

fn bytes(size: Size, channels: usize) -> usize {
    size.width as usize * size.height as usize * channels
}

/// Which input samples make each of some output samples, with fixed-point weights.
struct Taps(Vec<(usize, Vec<i64>)>);

impl Taps {
    /// For these of `to` outputs, which lie on the first `area` of the inputs.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positions in an image")]
    #[expect(clippy::cast_precision_loss, reason = "positions in an image")]
    fn new(from: u32, (area, to): (f64, u32), outputs: Range<u32>, filter: Filter) -> Self {
        let scale = area / f64::from(to);
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let taps = outputs
            .map(|i| {
                let centre = (f64::from(i) + 0.5) * scale;
                let first = (centre - support + 0.5).max(0.0) as usize;
                let last = ((centre + support + 0.5) as usize).min(from as usize);
                let weights: Vec<f64> =
                    (first..last).map(|tap| filter.weight((tap as f64 - centre + 0.5) / stretch)).collect();
                let sum: f64 = weights.iter().sum();
                let one = f64::from(1_u32 << PRECISION);
                // `f64::round` rounds halves away from zero, as Pillow does here.
                (first, weights.into_iter().map(|w| (w / sum * one).round() as i64).collect())
            })
            .collect();
        Self(taps)
    }

    /// The inputs that are needed.
    #[expect(clippy::cast_possible_truncation, reason = "positions in an image")]
    fn inputs(&self) -> Range<u32> {
        match (self.0.first(), self.0.last()) {
            (Some((first, _)), Some((last, weights))) => *first as u32..(last + weights.len()) as u32,
            _ => 0..0,
        }
    }

    #[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255")]
    fn apply(&self, output: usize, sample: impl Fn(usize) -> u8) -> u8 {
        let (first, weights) = &self.0[output];
        let sum: i64 = weights.iter().enumerate().map(|(i, weight)| weight * i64::from(sample(first + i))).sum();
        (((1 << (PRECISION - 1)) + sum) >> PRECISION).clamp(0, 255) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cropping_to_the_whole_image_shares_its_pixels() {
        let image = Image::rgb(2, 1, vec![1, 2, 3, 4, 5, 6]);
        assert!(crop(&image, 0, 0, image.size()).shares_pixels_with(&image));
        let part = crop(&image, 1, 0, Size { width: 2, height: 1 });
        assert_eq!(part.pixels(), [4, 5, 6, 0, 0, 0]);
    }

    #[test]
    fn a_part_has_the_pixels_that_it_has_in_the_whole() {
        let sides = [1, 2, 7, 16, 33, 64];
        let image = |width: u32, height: u32| {
            let bytes = (0..width * height * 3).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
            Image::rgb(width, height, bytes.collect())
        };
        for (width, height) in sides.into_iter().flat_map(|width| sides.map(|height| (width, height))) {
            let image = image(width, height);
            for (to_width, to_height) in [(16, 16), (16, 40), (41, 15), (7, 3), (width, 20), (20, height)] {
                let size = Size { width: to_width, height: to_height };
                for filter in [Filter::Bicubic, Filter::Lanczos] {
                    let whole = resize(&image, size, filter);
                    for (x, y) in [(0, 0), (to_width / 2, to_height / 3), (to_width - 1, to_height - 1)] {
                        let part = Rect { x, y, width: (to_width - x).min(5), height: (to_height - y).min(6) };
                        let cropped = crop(&whole, i64::from(x), i64::from(y), part.size());
                        assert!(
                            resize_part(&image, size, part, filter) == cropped,
                            "{width}x{height} to {size:?}, {part:?}, {filter:?}"
                        );
                    }
                }
            }
        }
    }
}
