//! Layer norm and group norm, with what follows them in the same pass.
//!
//! Invariant: sums run over pixels in order, in pieces whose size depends on the image alone; sums of pieces are added in
//! f64.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::backend::{AfterNorm, GroupNormOperation, LayerNormOperation};
use crate::cpu::buffers::{self, CHUNK};
use crate::cpu::math::silu;
use crate::error::Result;
use crate::stored::StoredTensor;

/// Rows that one task of a layer norm handles.
const ROWS: usize = 16;

pub(super) struct CpuLayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f64,
}

impl CpuLayerNorm {
    pub(super) fn new(weight: &StoredTensor<'_>, bias: &StoredTensor<'_>, eps: f64) -> Self {
        Self { weight: weight.to_f32(), bias: bias.to_f32(), eps }
    }
}

impl LayerNormOperation for CpuLayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let width = self.weight.len();
        let out = buffers::with_values(x, |values| {
            let mut out = vec![0.0; values.len()];
            let normalise = |(input, output): (&[f32], &mut [f32])| {
                for (x, y) in input.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
                    let (mean, inverse) = moments(x, self.eps);
                    for (((y, x), w), b) in y.iter_mut().zip(x).zip(&self.weight).zip(&self.bias) {
                        *y = (x - mean) * inverse * w + b;
                    }
                }
            };
            values.par_chunks(width * ROWS).zip(out.par_chunks_mut(width * ROWS)).for_each(normalise);
            out
        })?;
        buffers::tensor(out, x.dims())
    }
}

/// Mean and inverse standard deviation of a row.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f64 inside, f32 outside")]
fn moments(x: &[f32], eps: f64) -> (f32, f32) {
    let count = x.len() as f64;
    let mean = (sum_lanes(x, |v| v) / count) as f32;
    let variance = sum_lanes(x, |v| (v - mean) * (v - mean)) / count;
    (mean, (1.0 / (variance + eps).sqrt()) as f32)
}

/// Sum of `f` over a row in 16 lanes.
fn sum_lanes(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut sums = [0.0_f32; 16];
    let chunks = x.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (sum, v) in sums.iter_mut().zip(chunk) {
            *sum += f(*v);
        }
    }
    sums.iter().map(|s| f64::from(*s)).sum::<f64>() + rest.iter().map(|v| f64::from(f(*v))).sum::<f64>()
}

pub(super) struct CpuGroupNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    groups: usize,
    eps: f64,
}

impl CpuGroupNorm {
    pub(super) fn new(weight: &StoredTensor<'_>, bias: &StoredTensor<'_>, groups: usize, eps: f64) -> Self {
        Self { weight: weight.to_f32(), bias: bias.to_f32(), groups, eps }
    }

    fn channels(&self) -> usize {
        self.weight.len()
    }

    fn group(&self, channel: usize) -> usize {
        channel / (self.channels() / self.groups)
    }

    /// Normalise `values`, `samples` samples of the same size. `scale_shift` has `2 * channels` values a sample.
    fn apply(&self, values: &[f32], samples: usize, then_silu: bool, scale_shift: Option<&[f32]>) -> Vec<f32> {
        let channels = self.channels();
        let mut out = vec![0.0; values.len()];
        let sample = values.len() / samples.max(1);
        for (index, (input, output)) in values.chunks(sample.max(1)).zip(out.chunks_mut(sample.max(1))).enumerate() {
            let (means, inverses) = self.statistics(input);
            // y = x * gain + offset, per channel.
            let mut gain: Vec<f32> = (0..channels).map(|c| inverses[self.group(c)] * self.weight[c]).collect();
            let mut offset: Vec<f32> = (0..channels).map(|c| self.bias[c] - means[self.group(c)] * gain[c]).collect();
            if let Some(values) = scale_shift {
                let (scale, shift) = values[2 * channels * index..2 * channels * (index + 1)].split_at(channels);
                for c in 0..channels {
                    gain[c] *= 1.0 + scale[c];
                    offset[c] = offset[c] * (1.0 + scale[c]) + shift[c];
                }
            }
            let piece = piece_of(channels);
            let run = |(input, output): (&[f32], &mut [f32])| {
                for (x, y) in input.chunks_exact(channels).zip(output.chunks_exact_mut(channels)) {
                    let lines = y.iter_mut().zip(x).zip(&gain).zip(&offset);
                    if then_silu {
                        lines.for_each(|(((y, x), g), o)| *y = silu(x * g + o));
                    } else {
                        lines.for_each(|(((y, x), g), o)| *y = x * g + o);
                    }
                }
            };
            if sample <= piece {
                run((input, output));
            } else {
                input.par_chunks(piece).zip(output.par_chunks_mut(piece)).for_each(run);
            }
        }
        out
    }

    /// Mean and inverse standard deviation of each group of one sample, in two passes.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f64 inside, f32 outside")]
    fn statistics(&self, sample: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let count = (sample.len() / self.groups) as f64;
        let means: Vec<f32> = self.group_sums(sample, |x, _| x).into_iter().map(|sum| (sum / count) as f32).collect();
        let centre: Vec<f32> = (0..self.channels()).map(|c| means[self.group(c)]).collect();
        let inverses = self
            .group_sums(sample, |x, c| (x - centre[c]) * (x - centre[c]))
            .into_iter()
            .map(|sum| (1.0 / (sum / count + self.eps).sqrt()) as f32)
            .collect();
        (means, inverses)
    }

    fn group_sums(&self, sample: &[f32], f: impl Fn(f32, usize) -> f32 + Sync) -> Vec<f64> {
        let channels = self.channels();
        let piece = piece_of(channels);
        let sum = |piece: &[f32]| {
            let mut sums = vec![0.0_f32; channels];
            for pixel in piece.chunks_exact(channels) {
                for (c, (sum, x)) in sums.iter_mut().zip(pixel).enumerate() {
                    *sum += f(*x, c);
                }
            }
            sums
        };
        let partial: Vec<Vec<f32>> =
            if sample.len() <= piece { vec![sum(sample)] } else { sample.par_chunks(piece).map(sum).collect() };
        let mut groups = vec![0.0_f64; self.groups];
        for sums in partial {
            for (c, sum) in sums.into_iter().enumerate() {
                groups[self.group(c)] += f64::from(sum);
            }
        }
        groups
    }
}

/// Values of one piece: whole pixels, about [`CHUNK`] values.
fn piece_of(channels: usize) -> usize {
    (CHUNK / channels).max(1) * channels
}

impl GroupNormOperation for CpuGroupNorm {
    fn forward(&self, x: &Tensor, then: AfterNorm<'_>) -> Result<Tensor> {
        let samples = x.dim(0)?;
        let (then_silu, scale_shift) = match then {
            AfterNorm::Nothing => (false, None),
            AfterNorm::Silu => (true, None),
            AfterNorm::ScaleShiftSilu(values) => (true, Some(values)),
        };
        let out = buffers::with_values(x, |values| {
            buffers::with_optional(scale_shift, |scale_shift| self.apply(values, samples, then_silu, scale_shift))
        })??;
        buffers::tensor(out, x.dims())
    }
}
