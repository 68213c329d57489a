//! 8-bit pictures and Pillow's resampling, bit for bit.
//!
//! Invariant: resized pixels equal Pillow's (all versions that resample horizontally first), because the networks amplify
//! differences in their input: 0.5 % in the pixels become several per cent in the picture.

/// Interleaved 8-bit samples, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    pub width: usize,
    pub height: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    pub data: Vec<u8>,
}

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

impl Pixels {
    /// A picture of one value.
    #[must_use]
    pub fn filled(width: usize, height: usize, channels: usize, value: u8) -> Self {
        Self { width, height, channels, data: vec![value; width * height * channels] }
    }

    /// The samples of one pixel.
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> &[u8] {
        &self.data[(y * self.width + x) * self.channels..][..self.channels]
    }

    /// `Image.resize(size, filter)`.
    #[must_use]
    pub fn resize(&self, width: usize, height: usize, filter: Filter) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "picture sizes")]
        self.resample(width, height, (self.width as f64, self.height as f64), filter)
    }

    /// `Image.resize(size, filter, reducing_gap=1.0)`: shrinking by two or more starts with an average over blocks.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "picture sizes")]
    pub fn resize_reducing(&self, width: usize, height: usize, filter: Filter) -> Self {
        let (fx, fy) = ((self.width / width.max(1)).max(1), (self.height / height.max(1)).max(1));
        if fx == 1 && fy == 1 {
            return self.resize(width, height, filter);
        }
        let area = (self.width as f64 / fx as f64, self.height as f64 / fy as f64);
        self.reduce(fx, fy).resample(width, height, area, filter)
    }

    /// `Image.reduce((fx, fy))`: averages of blocks, smaller ones at the right and bottom border.
    #[expect(clippy::cast_possible_truncation, reason = "an average of bytes")]
    fn reduce(&self, fx: usize, fy: usize) -> Self {
        let (width, height) = (self.width.div_ceil(fx), self.height.div_ceil(fy));
        let mut data = Vec::with_capacity(width * height * self.channels);
        for by in 0..height {
            for bx in 0..width {
                let ys = by * fy..((by + 1) * fy).min(self.height);
                let xs = bx * fx..((bx + 1) * fx).min(self.width);
                let count = (ys.len() * xs.len()) as u64;
                let multiplier = (1_u64 << 24) / count;
                for c in 0..self.channels {
                    let sum: u64 = ys
                        .clone()
                        .flat_map(|y| xs.clone().map(move |x| (x, y)))
                        .map(|(x, y)| u64::from(self.pixel(x, y)[c]))
                        .sum();
                    data.push((((sum + count / 2) * multiplier) >> 24) as u8);
                }
            }
        }
        Self { width, height, channels: self.channels, data }
    }

    /// Resample the area from the top left corner to `area`: first rows, then columns, rounded in between.
    fn resample(&self, width: usize, height: usize, area: (f64, f64), filter: Filter) -> Self {
        #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "picture sizes, exact in f64")]
        let same = |from: usize, area: f64, to: usize| from == to && area == to as f64;
        let (same_width, same_height) = (same(self.width, area.0, width), same(self.height, area.1, height));
        let mut picture = self.clone();
        if !same_width {
            let taps = Taps::new(self.width, area.0, width, filter);
            let mut data = Vec::with_capacity(width * self.height * self.channels);
            for y in 0..self.height {
                for x in 0..width {
                    for c in 0..self.channels {
                        data.push(taps.apply(x, |i| self.data[(y * self.width + i) * self.channels + c]));
                    }
                }
            }
            picture = Self { width, height: self.height, channels: self.channels, data };
        }
        if !same_height {
            let taps = Taps::new(self.height, area.1, height, filter);
            let mut data = Vec::with_capacity(width * height * self.channels);
            for y in 0..height {
                for i in 0..width * self.channels {
                    data.push(taps.apply(y, |row| picture.data[row * width * self.channels + i]));
                }
            }
            picture = Self { width, height, channels: self.channels, data };
        }
        picture
    }

    /// The part of `width` x `height` pixels at `left`, `top`; outside of the picture it is black.
    #[must_use]
    pub fn crop(&self, left: isize, top: isize, width: usize, height: usize) -> Self {
        let mut out = Self::filled(width, height, self.channels, 0);
        for y in 0..height {
            for x in 0..width {
                let at = (left.checked_add_unsigned(x), top.checked_add_unsigned(y));
                let (Some(sx), Some(sy)) =
                    (at.0.and_then(|v| usize::try_from(v).ok()), at.1.and_then(|v| usize::try_from(v).ok()))
                else {
                    continue;
                };
                if sx < self.width && sy < self.height {
                    let to = (y * width + x) * self.channels;
                    out.data[to..to + self.channels].copy_from_slice(self.pixel(sx, sy));
                }
            }
        }
        out
    }

    /// Enlarge to at least the given size by repeating the right and bottom border.
    #[must_use]
    pub fn extend_edges(&self, width: usize, height: usize) -> Self {
        let (width, height) = (width.max(self.width), height.max(self.height));
        let mut data = Vec::with_capacity(width * height * self.channels);
        for y in 0..height {
            for x in 0..width {
                data.extend_from_slice(self.pixel(x.min(self.width - 1), y.min(self.height - 1)));
            }
        }
        Self { width, height, channels: self.channels, data }
    }

    /// `[channels, height, width]` in -1..1, as diffusers prepares pictures for the encoder: 2 (x / 255) - 1.
    #[must_use]
    pub fn to_signed_planes(&self) -> Vec<f32> {
        self.planes(|x| 2.0 * (f32::from(x) / 255.0) - 1.0)
    }

    /// `[channels, height, width]`, each sample through `f`.
    pub(crate) fn planes(&self, f: impl Fn(u8) -> f32) -> Vec<f32> {
        (0..self.channels).flat_map(|c| self.data.iter().skip(c).step_by(self.channels)).map(|x| f(*x)).collect()
    }

    /// From `[3, height, width]` around -1..1: `round((x / 2 + 0.5) * 255)`, ties to even.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
    pub fn from_signed_planes(planes: &[f32], width: usize, height: usize) -> Self {
        let size = width * height;
        let channels = planes.len() / size.max(1);
        let data = (0..size)
            .flat_map(|i| (0..channels).map(move |c| planes[c * size + i]))
            .map(|x| ((x * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8)
            .collect();
        Self { width, height, channels, data }
    }
}

/// Which input samples make an output sample, with fixed-point weights.
struct Taps(Vec<(usize, Vec<i64>)>);

impl Taps {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "positions in a picture"
    )]
    fn new(from: usize, area: f64, to: usize, filter: Filter) -> Self {
        let scale = area / to as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let taps = (0..to)
            .map(|i| {
                let centre = (i as f64 + 0.5) * scale;
                let first = (centre - support + 0.5).max(0.0) as usize;
                let last = ((centre + support + 0.5) as usize).min(from);
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

    #[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255")]
    fn apply(&self, output: usize, sample: impl Fn(usize) -> u8) -> u8 {
        let (first, weights) = &self.0[output];
        let sum: i64 = weights.iter().enumerate().map(|(i, weight)| weight * i64::from(sample(first + i))).sum();
        (((1 << (PRECISION - 1)) + sum) >> PRECISION).clamp(0, 255) as u8
    }
}
