//! Access to the numbers of CPU tensors, and elementwise loops over them.
//!
//! Invariant: work is cut into pieces of a fixed size, so results never depend on the number of threads.

use candle_core::{CpuStorage, Device, Storage, Tensor};
use rayon::prelude::*;

use crate::tensor::error::{Error, Result};

/// Elements that one task handles in an elementwise loop.
pub(super) const CHUNK: usize = 16 * 1024;

/// Call `f` with the elements of a contiguous f32 CPU tensor.
pub(super) fn with<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(CpuStorage::F32(values)) = &*storage else {
        return Err(unexpected(tensor));
    };
    let Some((start, end)) = layout.contiguous_offsets() else {
        return Err(unexpected(tensor));
    };
    f(&values[start..end])
}

fn unexpected(tensor: &Tensor) -> Error {
    Error::Tensor(candle_core::Error::Msg(format!(
        "expected a contiguous f32 tensor on the CPU, got {:?} {:?} on {:?}",
        tensor.dtype(),
        tensor.layout(),
        tensor.device().location()
    )))
}

/// A CPU tensor of the given shape.
pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Elementwise map of one tensor.
pub(super) fn map(x: &Tensor, f: impl Fn(&[f32], &mut [f32]) + Sync) -> Result<Tensor> {
    let x = x.contiguous()?;
    let out = with(&x, |values| {
        let mut out = vec![0.0; values.len()];
        par_chunks(&mut out, |start, piece| f(&values[start..start + piece.len()], piece));
        Ok(out)
    })?;
    tensor(out, x.dims())
}

/// Elementwise map of two tensors of the same shape.
pub(super) fn map2(a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32 + Sync) -> Result<Tensor> {
    if a.dims() != b.dims() {
        return Err(Error::Tensor(candle_core::Error::Msg(format!("shapes {:?} and {:?} differ", a.dims(), b.dims()))));
    }
    let out = with(a, |va| {
        with(b, |vb| {
            let mut out = vec![0.0; va.len()];
            par_chunks(&mut out, |start, piece| {
                let end = start + piece.len();
                for ((o, x), y) in piece.iter_mut().zip(&va[start..end]).zip(&vb[start..end]) {
                    *o = f(*x, *y);
                }
            });
            Ok(out)
        })
    })?;
    tensor(out, a.dims())
}

/// Run `f(offset, piece)` over pieces of `out`, in parallel where it is worth it.
pub(super) fn par_chunks(out: &mut [f32], f: impl Fn(usize, &mut [f32]) + Sync) {
    if out.len() <= CHUNK {
        f(0, out);
    } else {
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, piece)| f(i * CHUNK, piece));
    }
}

/// A raw output pointer that tasks writing disjoint parts may share.
#[derive(Clone, Copy)]
pub(super) struct Shared(pub(super) *mut f32);

// SAFETY: tasks that receive a `Shared` write to disjoint elements only; each use states which.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The pointer to element `offset`.
    ///
    /// # Safety
    /// `offset` must be within the buffer.
    pub(super) unsafe fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: by contract.
        unsafe { self.0.add(offset) }
    }
}
