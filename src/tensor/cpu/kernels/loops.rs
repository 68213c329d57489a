//! Loops over plain slices, written once: each instruction set compiles them with its own instructions.
//!
//! Invariant: additions are in one order and nothing is fused, so all instruction sets agree bit by bit.

use crate::activation::Activation;
use crate::attention::Attention;
use crate::cpu::kernels::math::{exp, gelu, gelu_tanh, quick_gelu, silu};

/// Sums that run side by side over a row.
const LANES: usize = Attention::LANES;
/// Scores this far below the greatest of their row count nothing: e^-80 is 1e-35.
const NEGLIGIBLE: f32 = -80.0;

/// What to compute. Slices of one loop have the same length unless it says otherwise.
pub(in crate::cpu) enum Loop<'a> {
    /// `out = x + y`.
    Add { x: &'a [f32], y: &'a [f32], out: &'a mut [f32] },
    /// The activation of every number.
    Activate { activation: Activation, x: &'a [f32], out: &'a mut [f32] },
    /// `out = x * gain + offset` for pixels of as many channels as `gain` and `offset` have, then SiLU if asked for.
    Affine { x: &'a [f32], gain: &'a [f32], offset: &'a [f32], silu: bool, out: &'a mut [f32] },
    /// `out = (x * gain + offset) * scale + shift` of a pixel, then SiLU if asked for; without a norm, `x * scale + shift`.
    Modulate {
        x: &'a [f32],
        norm: Option<(&'a [f32], &'a [f32])>,
        scale: &'a [f32],
        shift: &'a [f32],
        silu: bool,
        out: &'a mut [f32],
    },
    /// Pixels of as many channels as there are `sums`: their sums, and the sums of their squared distances to their own means.
    Moments { x: &'a [f32], sums: &'a mut [f32], squares: &'a mut [f32] },
    /// `softmax(scale * row + bias)`, in place.
    Softmax { row: &'a mut [f32], scale: f32, bias: Option<&'a [f32]> },
    /// Rows as wide as `weight` and `bias`, each normalised.
    LayerNorm { x: &'a [f32], weight: &'a [f32], bias: &'a [f32], eps: f64, out: &'a mut [f32] },
}

impl Loop<'_> {
    /// Compute it. Inlined into functions that enable the set's instructions.
    #[inline(always)]
    pub(super) fn run(self) {
        match self {
            Self::Add { x, y, out } => out.iter_mut().zip(x).zip(y).for_each(|((out, x), y)| *out = x + y),
            Self::Activate { activation, x, out } => match activation {
                Activation::Silu => map(x, out, silu),
                Activation::QuickGelu => map(x, out, quick_gelu),
                Activation::Gelu => map(x, out, gelu),
                Activation::GeluTanh => map(x, out, gelu_tanh),
                Activation::Relu => map(x, out, |x| x.max(0.0)),
            },
            Self::Affine { x, gain, offset, silu: true, out } => affine(x, gain, offset, out, silu),
            Self::Affine { x, gain, offset, silu: false, out } => affine(x, gain, offset, out, |x| x),
            Self::Modulate { x, norm, scale, shift, silu: true, out } => modulate(x, norm, scale, shift, out, silu),
            Self::Modulate { x, norm, scale, shift, silu: false, out } => modulate(x, norm, scale, shift, out, |x| x),
            Self::Moments { x, sums, squares } => moments_of_channels(x, sums, squares),
            Self::Softmax { row, scale, bias } => softmax(row, scale, bias),
            Self::LayerNorm { x, weight, bias, eps, out } => layer_norm(x, weight, bias, eps, out),
        }
    }
}

#[inline(always)]
fn map(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = f(*x));
}

#[inline(always)]
fn affine(x: &[f32], gain: &[f32], offset: &[f32], out: &mut [f32], then: impl Fn(f32) -> f32) {
    let channels = gain.len();
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
        let lines = out.iter_mut().zip(x).zip(gain).zip(offset);
        lines.for_each(|(((out, x), g), o)| *out = then(x * g + o));
    }
}

#[inline(always)]
fn modulate(
    x: &[f32],
    norm: Option<(&[f32], &[f32])>,
    scale: &[f32],
    shift: &[f32],
    out: &mut [f32],
    then: impl Fn(f32) -> f32,
) {
    let lines = out.iter_mut().zip(x).zip(scale).zip(shift);
    match norm {
        Some((gain, offset)) => {
            lines.zip(gain).zip(offset).for_each(|(((((out, x), a), b), g), o)| *out = then((x * g + o) * a + b));
        }
        None => lines.for_each(|(((out, x), a), b)| *out = then(x * a + b)),
    }
}

#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "a piece of an image")]
fn moments_of_channels(x: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    let channels = sums.len();
    let each = 1.0 / (x.len() / channels) as f32;
    sums.fill(0.0);
    squares.fill(0.0);
    for pixel in x.chunks_exact(channels) {
        sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
    }
    for pixel in x.chunks_exact(channels) {
        let lines = squares.iter_mut().zip(pixel).zip(sums.iter());
        lines.for_each(|((square, x), sum)| {
            let distance = x - sum * each;
            *square += distance * distance;
        });
    }
}

#[inline(always)]
fn softmax(row: &mut [f32], scale: f32, bias: Option<&[f32]>) {
    match bias {
        None => row.iter_mut().for_each(|x| *x *= scale),
        Some(bias) => row.iter_mut().zip(bias).for_each(|(x, b)| *x = *x * scale + b),
    }
    let mut greatest = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        greatest.iter_mut().zip(chunk).for_each(|(max, x)| *max = max.max(*x));
    }
    greatest.iter_mut().zip(rest).for_each(|(max, x)| *max = max.max(*x));
    let max = greatest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    for x in row.iter_mut() {
        // Masked scores give exact zeros: denormals would slow down every product with them a hundredfold.
        let below = *x - max;
        let power = exp(below);
        *x = if below < NEGLIGIBLE { 0.0 } else { power };
    }
    let mut sums = [0.0_f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x);
    }
    sums.iter_mut().zip(rest).for_each(|(sum, x)| *sum += x);
    let inverse = 1.0 / sums.iter().sum::<f32>();
    for x in row {
        *x *= inverse;
    }
}

#[inline(always)]
fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f64, out: &mut [f32]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let (mean, inverse) = moments(x, eps);
        let lines = out.iter_mut().zip(x).zip(weight).zip(bias);
        lines.for_each(|(((out, x), w), b)| *out = (x - mean) * inverse * w + b);
    }
}

/// Mean and inverse standard deviation of a row.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f64 inside, f32 outside")]
fn moments(x: &[f32], eps: f64) -> (f32, f32) {
    let count = x.len() as f64;
    let mean = (sum_lanes(x, |v| v) / count) as f32;
    let variance = sum_lanes(x, |v| (v - mean) * (v - mean)) / count;
    (mean, (1.0 / (variance + eps).sqrt()) as f32)
}

/// Sum of `f` over a row.
#[inline(always)]
fn sum_lanes(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut sums = [0.0_f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, v) in sums.iter_mut().zip(chunk) {
            *sum += f(*v);
        }
    }
    sums.iter().map(|s| f64::from(*s)).sum::<f64>() + rest.iter().map(|v| f64::from(f(*v))).sum::<f64>()
}
