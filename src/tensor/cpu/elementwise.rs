//! Activations, sums and modulation, element by element.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::activation::Activation;
use crate::cpu::buffers;
use crate::cpu::kernels::{Kernel, Loop};
use crate::cpu::norms::Spread;
use crate::error::Result;
use crate::modulation::Modulation;

/// The activation of every element.
pub(super) fn activate(kernel: &dyn Kernel, x: &Tensor, activation: Activation) -> Result<Tensor> {
    let out = buffers::with_values(x, |values| {
        let mut out = buffers::output(values.len());
        buffers::par_chunks(&mut out, |start, out| {
            let x = &values[start..start + out.len()];
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
            buffers::par_chunks(&mut out, |start, out| {
                let end = start + out.len();
                kernel.run(Loop::Add { x: &a[start..end], y: &b[start..end], out });
            });
            out
        })
    })??;
    buffers::tensor(out, a.dims())
}

/// `x * scale + shift` of `[batch, height, width, channels]`, then SiLU if asked for.
pub(super) fn modulate(kernel: &dyn Kernel, x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor> {
    let (_, _, width, channels) = x.dims4()?;
    let out = buffers::with_values(x, |x_values| {
        Spread::with(x, modulation, |spread| {
            let mut out = buffers::output(x_values.len());
            let length = width * channels;
            let rows = out.par_chunks_mut(length).zip(x_values.par_chunks(length)).enumerate();
            rows.for_each(|(row, (out, x))| spread.run(kernel, row * width, None, x, out));
            out
        })
    })??;
    buffers::tensor(out, x.dims())
}
