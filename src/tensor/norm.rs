//! Normalisations: layer norm, group norm over NHWC pictures, and the modulation by scale and shift.
//!
//! Invariant: sums run over pixels in order, in pieces whose size depends on the picture alone.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::tensor::activation::silu;
use crate::tensor::error::{Error, Result};
use crate::tensor::weights::Vars;
use crate::tensor::{cpu, reference};

/// Rows that one task normalises.
const ROWS: usize = 16;

/// `torch.nn.LayerNorm` over the last dimension.
pub struct LayerNorm {
    weight: Affine,
    width: usize,
    eps: f64,
}

/// `torch.nn.GroupNorm` over NHWC pictures or `[batch, tokens, channels]`.
pub struct GroupNorm {
    weight: Affine,
    groups: usize,
    channels: usize,
    eps: f64,
}

enum Affine {
    Cpu { weight: Vec<f32>, bias: Vec<f32> },
    Other { weight: Tensor, bias: Tensor },
}

impl Affine {
    fn load(vars: &Vars<'_>, width: usize) -> Result<Self> {
        Ok(if vars.compute().device.is_cpu() {
            Self::Cpu { weight: vars.values("weight", &[width])?, bias: vars.values("bias", &[width])? }
        } else {
            Self::Other { weight: vars.tensor("weight", &[width])?, bias: vars.tensor("bias", &[width])? }
        })
    }
}

impl LayerNorm {
    /// Load `weight` and `bias`, both `[width]`, below `vars`.
    pub fn load(vars: &Vars<'_>, width: usize, eps: f64) -> Result<Self> {
        Ok(Self { weight: Affine::load(vars, width)?, width, eps })
    }

    /// Normalise the last dimension.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = match &self.weight {
            Affine::Other { weight, bias } => return reference::layer_norm(x, weight, bias, self.eps),
            Affine::Cpu { weight, bias } => (weight, bias),
        };
        let x = x.contiguous()?;
        let width = self.width;
        if x.dims().last() != Some(&width) {
            return Err(mismatch("layer norm", width, &x));
        }
        let out = cpu::with(&x, |values| {
            let mut out = vec![0.0; values.len()];
            let normalise = |(input, output): (&[f32], &mut [f32])| {
                for (x, y) in input.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
                    let (mean, inverse) = moments(x, self.eps);
                    for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                        *y = (x - mean) * inverse * w + b;
                    }
                }
            };
            values.par_chunks(width * ROWS).zip(out.par_chunks_mut(width * ROWS)).for_each(normalise);
            Ok(out)
        })?;
        cpu::tensor(out, x.dims())
    }
}

/// Mean and inverse standard deviation of a row.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f64 inside, f32 outside")]
fn moments(x: &[f32], eps: f64) -> (f32, f32) {
    let count = x.len() as f64;
    let mean = (lanes(x, |v| v) / count) as f32;
    let variance = lanes(x, |v| (v - mean) * (v - mean)) / count;
    (mean, (1.0 / (variance + eps).sqrt()) as f32)
}

/// Sum of `f` over a row in 16 lanes.
fn lanes(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
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

fn mismatch(layer: &str, width: usize, x: &Tensor) -> Error {
    Error::Tensor(candle_core::Error::Msg(format!("a {layer} of width {width} was given {:?}", x.dims())))
}

/// What follows a group norm in the same pass over the picture.
#[derive(Clone, Copy)]
enum After<'a> {
    Nothing,
    Silu,
    /// `silu(y * (1 + scale) + shift)` with `[batch, 2 * channels]` scales and shifts.
    ScaleShiftSilu(&'a [f32]),
}

impl GroupNorm {
    /// Load `weight` and `bias`, both `[channels]`, below `vars`.
    pub fn load(vars: &Vars<'_>, groups: usize, channels: usize, eps: f64) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(vars.bad_config(format!("{channels} channels cannot be split into {groups} groups")));
        }
        Ok(Self { weight: Affine::load(vars, channels)?, groups, channels, eps })
    }

    /// Normalise.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, After::Nothing, None)
    }

    /// Normalise, then SiLU.
    pub fn forward_silu(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, After::Silu, None)
    }

    /// Normalise, `y * (1 + scale) + shift` per sample, then SiLU. `scale_shift` is `[batch, 2 * channels]`.
    pub fn forward_scale_shift_silu(&self, x: &Tensor, scale_shift: &Tensor) -> Result<Tensor> {
        if !x.device().is_cpu() {
            return self.apply(x, After::Nothing, Some(scale_shift));
        }
        let scale_shift = scale_shift.contiguous()?;
        cpu::with(&scale_shift, |values| self.apply(x, After::ScaleShiftSilu(values), None))
    }

    fn apply(&self, x: &Tensor, after: After<'_>, scale_shift: Option<&Tensor>) -> Result<Tensor> {
        let (weight, bias) = match &self.weight {
            Affine::Other { weight, bias } => {
                let y = reference::group_norm(x, weight, bias, self.groups, self.eps)?;
                return match (after, scale_shift) {
                    (_, Some(scale_shift)) => reference::scale_shift_silu(&y, scale_shift),
                    (After::Silu, _) => Ok(y.silu()?),
                    _ => Ok(y),
                };
            }
            Affine::Cpu { weight, bias } => (weight, bias),
        };
        let x = x.contiguous()?;
        let dims = x.dims();
        let channels = self.channels;
        if dims.len() < 2 || dims.last() != Some(&channels) {
            return Err(mismatch("group norm", channels, &x));
        }
        let sample = dims[1..].iter().product::<usize>();
        let out = cpu::with(&x, |values| {
            let mut out = vec![0.0; values.len()];
            for (index, (input, output)) in values.chunks(sample).zip(out.chunks_mut(sample)).enumerate() {
                let (means, inverses) = self.statistics(input);
                // y = x * gain + offset, per channel.
                let mut gain: Vec<f32> = (0..channels).map(|c| inverses[self.group(c)] * weight[c]).collect();
                let mut offset: Vec<f32> = (0..channels).map(|c| bias[c] - means[self.group(c)] * gain[c]).collect();
                if let After::ScaleShiftSilu(values) = after {
                    let (scale, shift) = values[2 * channels * index..2 * channels * (index + 1)].split_at(channels);
                    for c in 0..channels {
                        gain[c] *= 1.0 + scale[c];
                        offset[c] = offset[c] * (1.0 + scale[c]) + shift[c];
                    }
                }
                let piece = (cpu::CHUNK / channels).max(1) * channels;
                let run = |(input, output): (&[f32], &mut [f32])| {
                    for (x, y) in input.chunks_exact(channels).zip(output.chunks_exact_mut(channels)) {
                        let lines = y.iter_mut().zip(x).zip(&gain).zip(&offset);
                        if matches!(after, After::Nothing) {
                            lines.for_each(|(((y, x), g), o)| *y = x * g + o);
                        } else {
                            lines.for_each(|(((y, x), g), o)| *y = silu(x * g + o));
                        }
                    }
                };
                if sample <= piece {
                    run((input, output));
                } else {
                    input.par_chunks(piece).zip(output.par_chunks_mut(piece)).for_each(run);
                }
            }
            Ok(out)
        })?;
        cpu::tensor(out, dims)
    }

    fn group(&self, channel: usize) -> usize {
        channel / (self.channels / self.groups)
    }

    /// Mean and inverse standard deviation of each group of one sample, in two passes.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f64 inside, f32 outside")]
    fn statistics(&self, sample: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let count = (sample.len() / self.groups) as f64;
        let means: Vec<f32> = self.group_sums(sample, |x, _| x).into_iter().map(|sum| (sum / count) as f32).collect();
        let centre: Vec<f32> = (0..self.channels).map(|c| means[self.group(c)]).collect();
        let inverses = self
            .group_sums(sample, |x, c| (x - centre[c]) * (x - centre[c]))
            .into_iter()
            .map(|sum| (1.0 / (sum / count + self.eps).sqrt()) as f32)
            .collect();
        (means, inverses)
    }

    fn group_sums(&self, sample: &[f32], f: impl Fn(f32, usize) -> f32 + Sync) -> Vec<f64> {
        let channels = self.channels;
        let piece = (cpu::CHUNK / channels).max(1) * channels;
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

/// `x * scale + shift` over NHWC pictures, then SiLU if asked for (MoVQ's spatial norm). Smaller scales and shifts are
/// enlarged to `x`'s size by nearest neighbour.
pub fn modulate(x: &Tensor, scale: &Tensor, shift: &Tensor, then_silu: bool) -> Result<Tensor> {
    let (_, height, width, channels) = x.dims4()?;
    if !x.device().is_cpu() {
        let scale = super::upsample_nearest(scale, height, width)?;
        let shift = super::upsample_nearest(shift, height, width)?;
        let y = ((x * scale)? + shift)?;
        return Ok(if then_silu { y.silu()? } else { y });
    }
    let (_, small_height, small_width, _) = scale.dims4()?;
    if scale.dims() != shift.dims() || scale.dim(3)? != channels || scale.dim(0)? != x.dim(0)? {
        return Err(mismatch("modulation", channels, scale));
    }
    let (x, scale, shift) = (x.contiguous()?, scale.contiguous()?, shift.contiguous()?);
    let line = |row: usize, x: &[f32], y: &mut [f32], scale: &[f32], shift: &[f32]| {
        let source = (row / height * small_height + row % height * small_height / height) * small_width;
        for (i, (x, y)) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)).enumerate() {
            let at = (source + i * small_width / width) * channels;
            let values = y.iter_mut().zip(x).zip(&scale[at..at + channels]).zip(&shift[at..at + channels]);
            if then_silu {
                values.for_each(|(((y, x), a), b)| *y = silu(x * a + b));
            } else {
                values.for_each(|(((y, x), a), b)| *y = x * a + b);
            }
        }
    };
    let out = cpu::with(&x, |x| {
        cpu::with(&scale, |scale| {
            cpu::with(&shift, |shift| {
                let mut out = vec![0.0; x.len()];
                let length = width * channels;
                out.par_chunks_mut(length)
                    .zip(x.par_chunks(length))
                    .enumerate()
                    .for_each(|(row, (y, x))| line(row, x, y, scale, shift));
                Ok(out)
            })
        })
    })?;
    cpu::tensor(out, x.dims())
}
