//! Activations, sums and modulation, element by element.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::activation::Activation;
use crate::cpu::buffers;
use crate::cpu::math::{gelu, gelu_tanh, quick_gelu, silu};
use crate::error::Result;
use crate::modulation::Modulation;

/// The activation of every element.
pub(super) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Silu => map(x, silu),
        Activation::QuickGelu => map(x, quick_gelu),
        Activation::Gelu => map(x, gelu),
        Activation::GeluTanh => map(x, gelu_tanh),
        Activation::Relu => map(x, |x| x.max(0.0)),
    }
}

/// `a + b`, same shapes.
pub(super) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let out = buffers::with_values(a, |a| {
        buffers::with_values(b, |b| {
            let mut out = vec![0.0; a.len()];
            buffers::par_chunks(&mut out, |start, piece| {
                let end = start + piece.len();
                for ((o, x), y) in piece.iter_mut().zip(&a[start..end]).zip(&b[start..end]) {
                    *o = x + y;
                }
            });
            out
        })
    })??;
    buffers::tensor(out, a.dims())
}

#[inline(always)]
fn map(x: &Tensor, f: impl Fn(f32) -> f32 + Sync) -> Result<Tensor> {
    let out = buffers::with_values(x, |values| {
        let mut out = vec![0.0; values.len()];
        buffers::par_chunks(&mut out, |start, piece| {
            for (y, x) in piece.iter_mut().zip(&values[start..]) {
                *y = f(*x);
            }
        });
        out
    })?;
    buffers::tensor(out, x.dims())
}

/// `x * scale + shift` of `[batch, height, width, channels]`, then SiLU if asked for.
pub(super) fn modulate(x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor> {
    let (_, height, width, channels) = x.dims4()?;
    let (_, small_height, small_width, _) = modulation.scale.dims4()?;
    let line = |row: usize, x: &[f32], y: &mut [f32], scale: &[f32], shift: &[f32]| {
        let source = (row / height * small_height + row % height * small_height / height) * small_width;
        for (i, (x, y)) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)).enumerate() {
            let at = (source + i * small_width / width) * channels;
            let values = y.iter_mut().zip(x).zip(&scale[at..at + channels]).zip(&shift[at..at + channels]);
            if modulation.then_silu {
                values.for_each(|(((y, x), a), b)| *y = silu(x * a + b));
            } else {
                values.for_each(|(((y, x), a), b)| *y = x * a + b);
            }
        }
    };
    let out = buffers::with_values(x, |x| {
        buffers::with_values(modulation.scale, |scale| {
            buffers::with_values(modulation.shift, |shift| {
                let mut out = vec![0.0; x.len()];
                let length = width * channels;
                out.par_chunks_mut(length)
                    .zip(x.par_chunks(length))
                    .enumerate()
                    .for_each(|(row, (y, x))| line(row, x, y, scale, shift));
                out
            })
        })
    })???;
    buffers::tensor(out, x.dims())
}
