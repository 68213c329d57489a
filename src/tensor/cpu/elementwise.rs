//! Activations, sums, modulation and the joining of channels, element by element.

use candle_core::{D, Tensor};

use crate::activation::Activation;
use crate::cpu::buffers::{self, CHUNK};
use crate::cpu::kernels::{Kernel, Loop};
use crate::cpu::norms::Spread;
use crate::error::Result;
use crate::modulation::Modulation;
use crate::parallel;

/// The activation of every element.
pub(super) fn activate(kernel: &dyn Kernel, x: &Tensor, activation: Activation) -> Result<Tensor> {
    let out = buffers::with_values(x, |values| {
        let mut out = buffers::output(values.len());
        parallel::for_each_piece(&mut out, CHUNK, |number, out| {
            let x = &values[number * CHUNK..][..out.len()];
            kernel.run(Loop::Activate { activation, x, out });
        });
        out
    })?;
    buffers::tensor(out, x.dims())
}

/// `a + b`, same shapes.
pub(super) fn add(kernel: &dyn Kernel, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let out = buffers::with_values(a, |a| {
        buffers::with_values(b, |b| {
            let mut out = buffers::output(a.len());
            parallel::for_each_piece(&mut out, CHUNK, |number, out| {
                let [x, y] = [a, b].map(|values| &values[number * CHUNK..][..out.len()]);
                kernel.run(Loop::Add { x, y, out });
            });
            out
        })
    })??;
    buffers::tensor(out, a.dims())
}

/// `[..., a]` and `[..., b]` to `[..., a + b]`.
pub(super) fn concat_channels(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (of_a, of_b) = (a.dim(D::Minus1)?, b.dim(D::Minus1)?);
    let out = buffers::with_values(a, |a| {
        buffers::with_values(b, |b| {
            let mut out = buffers::output(a.len() + b.len());
            let pixels = CHUNK.div_ceil(of_a + of_b);
            parallel::for_each_piece(&mut out, pixels * (of_a + of_b), |number, out| {
                let (a, b) = (&a[number * pixels * of_a..], &b[number * pixels * of_b..]);
                let pixels = out.chunks_exact_mut(of_a + of_b).zip(a.chunks_exact(of_a).zip(b.chunks_exact(of_b)));
                for (pixel, (a, b)) in pixels {
                    let (first, last) = pixel.split_at_mut(of_a);
                    first.copy_from_slice(a);
                    last.copy_from_slice(b);
                }
            });
            out
        })
    })??;
    let mut shape = a.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = of_a + of_b;
    }
    buffers::tensor(out, &shape)
}

/// `x * scale + shift` of `[batch, height, width, channels]`, then SiLU if asked for.
pub(super) fn modulate(kernel: &dyn Kernel, x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor> {
    let (_, _, width, channels) = x.dims4()?;
    let out = buffers::with_values(x, |x_values| {
        Spread::with(x, modulation, |spread| {
            let mut out = buffers::output(x_values.len());
            let length = width * channels;
            parallel::for_each_piece(&mut out, length, |row, out| {
                spread.run(kernel, row * width, None, &x_values[row * length..][..out.len()], out);
            });
            out
        })
    })??;
    buffers::tensor(out, x.dims())
}
