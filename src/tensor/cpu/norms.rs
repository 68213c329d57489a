//! Layer norm and group norm, with what follows them in the same pass.
//!
//! Invariant: sums run over pixels in order, in pieces whose size depends on the image alone; what pieces give is put together
//! in f64.

use candle_core::Tensor;

use crate::backend::{AfterNorm, GroupNormOperation, LayerNormOperation};
use crate::cpu::buffers::{self, CHUNK};
use crate::cpu::kernels::{Columns, Kernel, Loop};
use crate::error::Result;
use crate::modulation::Modulation;
use crate::parallel;
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
            parallel::for_each_piece(&mut out, width * ROWS, |number, out| {
                let x = &values[number * width * ROWS..][..out.len()];
                self.kernel.run(Loop::LayerNorm { x, weight: &self.weight, bias: &self.bias, eps: self.eps, out });
            });
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
        let (pixels, line) = (out.len() / self.channels, small_width * self.channels);
        let mut done = 0;
        // What there is of each line of the large image.
        while done < pixels {
            let (row, column) = ((first + done) / width, (first + done) % width);
            let count = (width - column).min(pixels - done);
            let here = done * self.channels..(done + count) * self.channels;
            let source = (row / height * small_height + row % height * small_height / height) * line;
            kernel.run(Loop::Modulate {
                x: &x[here.clone()],
                norm,
                scale: &self.scale[source..source + line],
                shift: &self.shift[source..source + line],
                columns: Columns { first: column, width, from: small_width },
                silu: self.silu,
                out: &mut out[here],
            });
            done += count;
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

    /// Normalise `values`, `samples` samples of the same size.
    fn apply(&self, values: &[f32], samples: usize, then: &Then<'_>) -> Vec<f32> {
        let channels = self.channels();
        let mut out = buffers::output(values.len());
        let sample = values.len() / samples.max(1);
        for (index, (input, output)) in values.chunks(sample.max(1)).zip(out.chunks_mut(sample.max(1))).enumerate() {
            let (mut gain, mut offset) = self.gain_and_offset(input);
            if let Then::ScaleShiftSilu(values) = then {
                let (scale, shift) = values[2 * channels * index..2 * channels * (index + 1)].split_at(channels);
                for c in 0..channels {
                    gain[c] *= 1.0 + scale[c];
                    offset[c] = offset[c] * (1.0 + scale[c]) + shift[c];
                }
            }
            let piece = piece_of(channels);
            parallel::for_each_piece(output, piece, |number, out| {
                let x = &input[number * piece..][..out.len()];
                if let Then::Modulate(spread) = then {
                    let first = (index * sample + number * piece) / channels;
                    spread.run(self.kernel, first, Some((&gain, &offset)), x, out);
                } else {
                    let silu = !matches!(then, Then::Nothing);
                    self.kernel.run(Loop::Affine { x, gain: &gain, offset: &offset, silu, out });
                }
            });
        }
        out
    }

    /// For each channel of one sample, what its values are multiplied with and what is then added. Means and standard deviations
    /// come from one pass over the memory: what a piece has is summed around its own mean, and then moved to that of all
    /// (Chan, Golub and LeVeque 1983).
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f64 inside, f32 outside")]
    fn gain_and_offset(&self, sample: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let channels = self.channels();
        let of_group = channels / self.groups;
        let piece = piece_of(channels);
        let mut pieces = buffers::output(sample.len().div_ceil(piece) * 2 * channels);
        parallel::for_each_piece(&mut pieces, 2 * channels, |index, both| {
            let (sums, squares) = both.split_at_mut(channels);
            let x = &sample[index * piece..sample.len().min((index + 1) * piece)];
            self.kernel.run(Loop::Moments { x, sums, squares });
        });
        let count = (sample.len() / self.groups) as f64;
        let mut totals = vec![0.0_f64; channels];
        for both in pieces.chunks_exact(2 * channels) {
            self.kernel.run(Loop::Accumulate { x: &both[..channels], sums: &mut totals });
        }
        // The mean of each channel's group.
        let mut means = vec![0.0_f64; channels];
        for (means, sums) in means.chunks_exact_mut(of_group).zip(totals.chunks_exact(of_group)) {
            means.fill(sums.iter().sum::<f64>() / count);
        }
        totals.fill(0.0);
        for (index, both) in pieces.chunks_exact(2 * channels).enumerate() {
            let (sums, squares) = both.split_at(channels);
            let pixels = (sample.len() - index * piece).min(piece) / channels;
            self.kernel.run(Loop::Shift { sums, squares, pixels, around: &means, out: &mut totals });
        }
        let mut gain = self.weight.clone();
        for (gain, squares) in gain.chunks_exact_mut(of_group).zip(totals.chunks_exact(of_group)) {
            let inverse = (1.0 / (squares.iter().sum::<f64>() / count + self.eps).sqrt()) as f32;
            for gain in gain.iter_mut() {
                *gain *= inverse;
            }
        }
        let offset = self.bias.iter().zip(&means).zip(&gain).map(|((bias, mean), gain)| bias - *mean as f32 * gain);
        let offset = offset.collect();
        (gain, offset)
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
