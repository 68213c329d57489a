//! Layer norm and group norm, with what follows them in the same pass.
//!
//! Invariant: sums run over pixels in order, in pieces whose size depends on the image alone; what pieces give is put together
//! in f64.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::backend::{AfterNorm, GroupNormOperation, LayerNormOperation};
use crate::cpu::buffers::{self, CHUNK};
use crate::cpu::kernels::{Kernel, Loop};
use crate::error::Result;
use crate::modulation::Modulation;
use crate::stored::StoredTensor;

/// Rows that one task of a layer norm handles.
const ROWS: usize = 16;

pub(super) struct CpuLayerNorm {
    pub(super) kernel: &'static dyn Kernel,
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) eps: f64,
}

impl LayerNormOperation for CpuLayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let width = self.weight.len();
        let out = buffers::with_values(x, |values| {
            let mut out = buffers::output(values.len());
            let normalise = |(x, out): (&[f32], &mut [f32])| {
                self.kernel.run(Loop::LayerNorm { x, weight: &self.weight, bias: &self.bias, eps: self.eps, out });
            };
            if values.len() <= width * ROWS {
                normalise((values, &mut out));
            } else {
                values.par_chunks(width * ROWS).zip(out.par_chunks_mut(width * ROWS)).for_each(normalise);
            }
            out
        })?;
        buffers::tensor(out, x.dims())
    }
}

pub(super) struct CpuGroupNorm {
    kernel: &'static dyn Kernel,
    weight: Vec<f32>,
    bias: Vec<f32>,
    groups: usize,
    eps: f64,
}

/// What follows a group norm, as plain numbers.
enum Then<'a> {
    Nothing,
    Silu,
    /// `2 * channels` values a sample.
    ScaleShiftSilu(&'a [f32]),
    Modulate(Spread<'a>),
}

/// A scale and a shift for each pixel, from images that may be smaller.
#[derive(Clone, Copy)]
pub(super) struct Spread<'a> {
    scale: &'a [f32],
    shift: &'a [f32],
    /// Height and width of the small images, and of the large one.
    from: (usize, usize),
    to: (usize, usize),
    channels: usize,
    silu: bool,
}

impl Spread<'_> {
    /// Call `f` with `modulation` for an image `x`.
    pub(super) fn with<R>(x: &Tensor, modulation: &Modulation<'_>, f: impl FnOnce(Spread<'_>) -> R) -> Result<R> {
        let (_, height, width, channels) = x.dims4()?;
        let (_, small_height, small_width, _) = modulation.scale.dims4()?;
        buffers::with_values(modulation.scale, |scale| {
            buffers::with_values(modulation.shift, |shift| {
                f(Spread {
                    scale,
                    shift,
                    from: (small_height, small_width),
                    to: (height, width),
                    channels,
                    silu: modulation.then_silu,
                })
            })
        })?
    }

    /// Modulate whole pixels, of which the first is number `first` of the batch, behind a norm by `gain` and `offset`.
    pub(super) fn run(
        &self,
        kernel: &dyn Kernel,
        first: usize,
        norm: Option<(&[f32], &[f32])>,
        x: &[f32],
        out: &mut [f32],
    ) {
        let ((small_height, small_width), (height, width)) = (self.from, self.to);
        for (i, (x, out)) in x.chunks_exact(self.channels).zip(out.chunks_exact_mut(self.channels)).enumerate() {
            let (row, column) = ((first + i) / width, (first + i) % width);
            let source = (row / height * small_height + row % height * small_height / height) * small_width;
            let at = (source + column * small_width / width) * self.channels;
            let (scale, shift) = (&self.scale[at..at + self.channels], &self.shift[at..at + self.channels]);
            kernel.run(Loop::Modulate { x, norm, scale, shift, silu: self.silu, out });
        }
    }
}

impl CpuGroupNorm {
    pub(super) fn new(
        kernel: &'static dyn Kernel,
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        groups: usize,
        eps: f64,
    ) -> Self {
        Self { kernel, weight: weight.to_f32(), bias: bias.to_f32(), groups, eps }
    }

    fn channels(&self) -> usize {
        self.weight.len()
    }

    fn group(&self, channel: usize) -> usize {
        channel / (self.channels() / self.groups)
    }

    /// Normalise `values`, `samples` samples of the same size.
    fn apply(&self, values: &[f32], samples: usize, then: &Then<'_>) -> Vec<f32> {
        let channels = self.channels();
        let mut out = buffers::output(values.len());
        let sample = values.len() / samples.max(1);
        for (index, (input, output)) in values.chunks(sample.max(1)).zip(out.chunks_mut(sample.max(1))).enumerate() {
            let (means, inverses) = self.statistics(input);
            // y = x * gain + offset, per channel.
            let mut gain: Vec<f32> = (0..channels).map(|c| inverses[self.group(c)] * self.weight[c]).collect();
            let mut offset: Vec<f32> = (0..channels).map(|c| self.bias[c] - means[self.group(c)] * gain[c]).collect();
            if let Then::ScaleShiftSilu(values) = then {
                let (scale, shift) = values[2 * channels * index..2 * channels * (index + 1)].split_at(channels);
                for c in 0..channels {
                    gain[c] *= 1.0 + scale[c];
                    offset[c] = offset[c] * (1.0 + scale[c]) + shift[c];
                }
            }
            let piece = piece_of(channels);
            let run = |number: usize, x: &[f32], out: &mut [f32]| {
                if let Then::Modulate(spread) = then {
                    let first = (index * sample + number * piece) / channels;
                    spread.run(self.kernel, first, Some((&gain, &offset)), x, out);
                } else {
                    let silu = !matches!(then, Then::Nothing);
                    self.kernel.run(Loop::Affine { x, gain: &gain, offset: &offset, silu, out });
                }
            };
            if sample <= piece {
                run(0, input, output);
            } else {
                let pieces = input.par_chunks(piece).zip(output.par_chunks_mut(piece)).enumerate();
                pieces.for_each(|(number, (x, out))| run(number, x, out));
            }
        }
        out
    }

    /// Mean and inverse standard deviation of each group of one sample, in one pass over the memory: what a piece has is summed
    /// around its own mean, and then moved to that of all (Chan, Golub and LeVeque 1983).
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f64 inside, f32 outside")]
    fn statistics(&self, sample: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (channels, groups) = (self.channels(), self.groups);
        let piece = piece_of(channels);
        let moments = |piece: &[f32]| {
            let mut both = vec![0.0_f32; 2 * channels];
            let (sums, squares) = both.split_at_mut(channels);
            self.kernel.run(Loop::Moments { x: piece, sums, squares });
            both
        };
        let pieces: Vec<Vec<f32>> =
            if sample.len() <= piece { vec![moments(sample)] } else { sample.par_chunks(piece).map(moments).collect() };
        let pixels_of = |index: usize| ((sample.len() - index * piece).min(piece) / channels) as f64;
        let count = (sample.len() / groups) as f64;
        let mut means = vec![0.0_f64; groups];
        for both in &pieces {
            for (c, sum) in both[..channels].iter().enumerate() {
                means[self.group(c)] += f64::from(*sum) / count;
            }
        }
        let mut variances = vec![0.0_f64; groups];
        for (index, both) in pieces.iter().enumerate() {
            let (sums, squares) = both.split_at(channels);
            let pixels = pixels_of(index);
            // The mean that the loop took, rounded as it did.
            let each = 1.0 / pixels as f32;
            for c in 0..channels {
                let centre = f64::from(sums[c] * each);
                let (off, left) = (centre - means[self.group(c)], f64::from(sums[c]) - pixels * centre);
                variances[self.group(c)] += f64::from(squares[c]) + 2.0 * off * left + pixels * off * off;
            }
        }
        let inverse = |sum: &f64| (1.0 / (sum / count + self.eps).sqrt()) as f32;
        (means.iter().map(|mean| *mean as f32).collect(), variances.iter().map(inverse).collect())
    }
}

/// Values of one piece: whole pixels, about [`CHUNK`] values.
fn piece_of(channels: usize) -> usize {
    (CHUNK / channels).max(1) * channels
}

impl GroupNormOperation for CpuGroupNorm {
    fn forward(&self, x: &Tensor, then: AfterNorm<'_>) -> Result<Tensor> {
        let samples = x.dim(0)?;
        let apply = |then: &Then<'_>| buffers::with_values(x, |values| self.apply(values, samples, then));
        let out = match then {
            AfterNorm::Nothing => apply(&Then::Nothing),
            AfterNorm::Silu => apply(&Then::Silu),
            AfterNorm::ScaleShiftSilu(values) => {
                buffers::with_values(values, |values| apply(&Then::ScaleShiftSilu(values)))?
            }
            AfterNorm::Modulate(modulation) => Spread::with(x, modulation, |spread| apply(&Then::Modulate(spread)))?,
        }?;
        buffers::tensor(out, x.dims())
    }
}
