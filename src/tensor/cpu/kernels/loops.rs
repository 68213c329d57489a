//! Loops over plain slices, written once: each instruction set compiles them with its own instructions.
//!
//! Invariant: additions are in one order, and none is fused with a product but the exponential's, where a set has an instruction for
//! it: all sets that do agree bit by bit.

use crate::activation::Activation;
use crate::attention::Attention;
use crate::cpu::kernels::math::{ProductSum, exp_within, gelu, gelu_tanh, quick_gelu, silu};

/// Sums that run side by side over a row.
const LANES: usize = Attention::LANES;
/// Scores this far below the greatest of their row count nothing: e^-80 is 1e-35.
const NEGLIGIBLE: f32 = -80.0;

/// What to compute. Slices of one loop have the same length unless it says otherwise.
pub(in crate::cpu) enum Loop<'a> {
    /// `out = x + y`.
    Add { x: &'a [f32], y: &'a [f32], out: &'a mut [f32] },
    /// `x + bias + residual`, in place, as far as there are such, then the activation of it.
    Increase { x: &'a mut [f32], bias: Option<&'a [f32]>, residual: Option<&'a [f32]>, activation: Option<Activation> },
    /// The activation of every number.
    Activate { activation: Activation, x: &'a [f32], out: &'a mut [f32] },
    /// `out = x * gain + offset` for pixels of as many channels as `gain` and `offset` have, then SiLU if asked for.
    Affine { x: &'a [f32], gain: &'a [f32], offset: &'a [f32], silu: bool, out: &'a mut [f32] },
    /// `out = (x * gain + offset) * scale + shift` of pixels of a line, then SiLU if asked for; without a norm,
    /// `x * scale + shift`. Scale and shift are a line of a smaller image.
    Modulate {
        x: &'a [f32],
        norm: Option<(&'a [f32], &'a [f32])>,
        scale: &'a [f32],
        shift: &'a [f32],
        columns: Columns,
        silu: bool,
        out: &'a mut [f32],
    },
    /// Pixels of as many channels as there are `sums`: their sums, and the sums of their squared distances to their own means.
    Moments { x: &'a [f32], sums: &'a mut [f32], squares: &'a mut [f32] },
    /// `sums += x`.
    Accumulate { x: &'a [f32], sums: &'a mut [f64] },
    /// Of a piece of so many pixels, `out +=` the sums of squared distances to `around` instead of to its own means, of which
    /// [`Loop::Moments`] gave `sums` and `squares`.
    Shift { sums: &'a [f32], squares: &'a [f32], pixels: usize, around: &'a [f64], out: &'a mut [f64] },
    /// `e^x` of `x = scale * row + bias` less the greatest of them, in place, and the inverse of their sum.
    Exponentials { row: &'a mut [f32], scale: f32, bias: Option<&'a [f32]>, inverse: &'a mut f32 },
    /// `x = x * by`.
    Scale { x: &'a mut [f32], by: f32 },
    /// Rows as wide as `weight` and `bias`, each normalised.
    LayerNorm { x: &'a [f32], weight: &'a [f32], bias: &'a [f32], eps: f64, out: &'a mut [f32] },
}

/// Which pixels of a line of `width` they are, from `first` on, and how many its smaller image has.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Columns {
    pub(in crate::cpu) first: usize,
    pub(in crate::cpu) width: usize,
    pub(in crate::cpu) from: usize,
}

/// `$body` with the function of an activation as `$f`, a loop of its own for each.
macro_rules! by_activation {
    ($activation:expr, $f:ident => $body:expr) => {
        match $activation {
            Activation::Silu => by_activation!(@ silu::<P>, $f => $body),
            Activation::QuickGelu => by_activation!(@ quick_gelu::<P>, $f => $body),
            Activation::Gelu => by_activation!(@ gelu::<P>, $f => $body),
            Activation::GeluTanh => by_activation!(@ gelu_tanh::<P>, $f => $body),
            Activation::Relu => by_activation!(@ |x: f32| x.max(0.0), $f => $body),
        }
    };
    (@ $function:expr, $f:ident => $body:expr) => {{
        let $f = $function;
        $body
    }};
}

impl Loop<'_> {
    /// Compute it. Inlined into functions that enable the set's instructions.
    #[inline(always)]
    pub(super) fn run<P: ProductSum>(self) {
        match self {
            Self::Add { x, y, out } => add(x, y, out),
            Self::Increase { x, bias, residual, activation } => {
                increase(x, bias, residual);
                if let Some(activation) = activation {
                    by_activation!(activation, f => map_in_place(x, f));
                }
            }
            Self::Activate { activation, x, out } => by_activation!(activation, f => map(x, out, f)),
            Self::Affine { x, gain, offset, silu: true, out } => affine(x, gain, offset, out, silu::<P>),
            Self::Affine { x, gain, offset, silu: false, out } => affine(x, gain, offset, out, |x| x),
            Self::Modulate { x, norm, scale, shift, columns, silu: true, out } => {
                modulate(x, norm, (scale, shift), columns, out, silu::<P>);
            }
            Self::Modulate { x, norm, scale, shift, columns, silu: false, out } => {
                modulate(x, norm, (scale, shift), columns, out, |x| x);
            }
            Self::Moments { x, sums, squares } => moments_of_channels(x, sums, squares),
            Self::Accumulate { x, sums } => accumulate(x, sums),
            Self::Shift { sums, squares, pixels, around, out } => shift(sums, squares, pixels, around, out),
            Self::Exponentials { row, scale, bias, inverse } => *inverse = exponentials::<P>(row, scale, bias),
            Self::Scale { x, by } => scale(x, by),
            Self::LayerNorm { x, weight, bias, eps, out } => layer_norm(x, weight, bias, eps, out),
        }
    }
}

// Loops are `for`: a closure that an iterator calls may become a function of its own, without the set's instructions.

#[inline(always)]
fn add(x: &[f32], y: &[f32], out: &mut [f32]) {
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        *out = x + y;
    }
}

#[inline(always)]
fn increase(x: &mut [f32], bias: Option<&[f32]>, residual: Option<&[f32]>) {
    match (bias, residual) {
        (Some(bias), Some(residual)) => {
            for ((x, b), r) in x.iter_mut().zip(bias).zip(residual) {
                *x = *x + b + r;
            }
        }
        (Some(by), None) | (None, Some(by)) => {
            for (x, by) in x.iter_mut().zip(by) {
                *x += by;
            }
        }
        (None, None) => {}
    }
}

#[inline(always)]
fn accumulate(x: &[f32], sums: &mut [f64]) {
    for (sum, x) in sums.iter_mut().zip(x) {
        *sum += f64::from(*x);
    }
}

#[inline(always)]
fn scale(x: &mut [f32], by: f32) {
    for x in x {
        *x *= by;
    }
}

#[inline(always)]
fn map(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = f(*x);
    }
}

#[inline(always)]
fn map_in_place(x: &mut [f32], f: impl Fn(f32) -> f32) {
    for x in x {
        *x = f(*x);
    }
}

#[inline(always)]
fn affine(x: &[f32], gain: &[f32], offset: &[f32], out: &mut [f32], then: impl Fn(f32) -> f32) {
    let channels = gain.len();
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
        for (((out, x), g), o) in out.iter_mut().zip(x).zip(gain).zip(offset) {
            *out = then(x * g + o);
        }
    }
}

#[inline(always)]
fn modulate(
    x: &[f32],
    norm: Option<(&[f32], &[f32])>,
    (scale, shift): (&[f32], &[f32]),
    columns: Columns,
    out: &mut [f32],
    then: impl Fn(f32) -> f32,
) {
    let channels = scale.len() / columns.from;
    for (i, (x, out)) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)).enumerate() {
        let at = (columns.first + i) * columns.from / columns.width * channels;
        let lines = out.iter_mut().zip(x).zip(&scale[at..at + channels]).zip(&shift[at..at + channels]);
        if let Some((gain, offset)) = norm {
            for (((((out, x), a), b), g), o) in lines.zip(gain).zip(offset) {
                *out = then((x * g + o) * a + b);
            }
        } else {
            for (((out, x), a), b) in lines {
                *out = then(x * a + b);
            }
        }
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
        for (sum, x) in sums.iter_mut().zip(pixel) {
            *sum += x;
        }
    }
    for pixel in x.chunks_exact(channels) {
        for ((square, x), sum) in squares.iter_mut().zip(pixel).zip(sums.iter()) {
            let distance = x - sum * each;
            *square += distance * distance;
        }
    }
}

#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "a piece of an image")]
fn shift(sums: &[f32], squares: &[f32], pixels: usize, around: &[f64], out: &mut [f64]) {
    // The mean that the loop took, rounded as it did.
    let (each, pixels) = (1.0 / pixels as f32, pixels as f64);
    for (((out, sum), square), around) in out.iter_mut().zip(sums).zip(squares).zip(around) {
        let centre = f64::from(sum * each);
        let (off, left) = (centre - around, f64::from(*sum) - pixels * centre);
        *out += f64::from(*square) + 2.0 * off * left + pixels * off * off;
    }
}

#[inline(always)]
fn exponentials<P: ProductSum>(row: &mut [f32], scale: f32, bias: Option<&[f32]>) -> f32 {
    let scale = if let Some(bias) = bias {
        for (x, b) in row.iter_mut().zip(bias) {
            *x = *x * scale + b;
        }
        1.0
    } else {
        scale
    };
    // A comparison, since `f32::max` looks for what is no number at every step.
    let greater = |max: f32, x: f32| if x > max { x } else { max };
    let mut greatest = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (max, x) in greatest.iter_mut().zip(chunk) {
            *max = greater(*max, *x);
        }
    }
    for (max, x) in greatest.iter_mut().zip(rest) {
        *max = greater(*max, *x);
    }
    // Rounding keeps the order of numbers, so the greatest may be scaled alone.
    let max = greatest.into_iter().fold(f32::NEG_INFINITY, greater) * scale;
    let mut sums = [0.0_f32; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        exponentials_of_lanes::<P>(chunk, scale, max, &mut sums);
    }
    if !rest.is_empty() {
        let mut padded = [f32::NEG_INFINITY; LANES];
        padded[..rest.len()].copy_from_slice(rest);
        exponentials_of_lanes::<P>(&mut padded, scale, max, &mut sums);
        rest.copy_from_slice(&padded[..rest.len()]);
    }
    1.0 / sums.iter().sum::<f32>()
}

#[inline(always)]
fn exponentials_of_lanes<P: ProductSum>(x: &mut [f32; LANES], scale: f32, max: f32, sums: &mut [f32; LANES]) {
    for (x, sum) in x.iter_mut().zip(sums) {
        // Masked scores give exact zeros: denormals would slow down every product with them a hundredfold.
        let below = *x * scale - max;
        let power = exp_within::<P>(if below < NEGLIGIBLE { NEGLIGIBLE } else { below });
        *x = if below < NEGLIGIBLE { 0.0 } else { power };
        *sum += *x;
    }
}

#[inline(always)]
fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f64, out: &mut [f32]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let (mean, inverse) = moments(x, eps);
        for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = (x - mean) * inverse * w + b;
        }
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
