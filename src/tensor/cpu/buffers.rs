//! Access to the numbers of CPU tensors, and loops over them on all threads.
//!
//! Invariant: loops are cut into pieces of a fixed size, so results never depend on the number of threads.

use candle_core::{CpuStorage, Device, Storage, Tensor};
use half::bf16;

use crate::error::{Error, Result};

/// Elements that one task handles in an elementwise loop.
pub(super) const CHUNK: usize = 16 * 1024;

/// Call `f` with the elements of an f32 CPU tensor in its own order, copied first if they are not contiguous.
pub(super) fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(f(&values[start..end])),
        _ => Err(Error::shape(format!(
            "expected an f32 tensor on the CPU, got {:?} on {:?}",
            tensor.dtype(),
            tensor.device().location()
        ))),
    }
}

/// As [`with_values`], for a tensor that may be missing.
pub(super) fn with_optional<R>(tensor: Option<&Tensor>, f: impl FnOnce(Option<&[f32]>) -> R) -> Result<R> {
    match tensor {
        Some(tensor) => with_values(tensor, |values| f(Some(values))),
        None => Ok(f(None)),
    }
}

/// A CPU tensor of the given shape.
pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Memory for `len` numbers, to be written from end to end: until then they are arbitrary.
#[expect(clippy::uninit_vec, reason = "every operation writes its whole output, and reads none of it before")]
pub(super) fn output<T: Number>(len: usize) -> Vec<T> {
    // Miri would tell if one were read before it is written.
    let mut values = Vec::with_capacity(len);
    // SAFETY: the capacity is there; numbers are only read once they are written, and none needs to be dropped.
    unsafe { values.set_len(len) };
    values
}

/// What any bits are one of.
pub(super) trait Number: Copy + Send {}

impl Number for f32 {}
impl Number for bf16 {}

/// An output that tasks writing disjoint parts share.
#[derive(Clone, Copy)]
pub(super) struct SharedOutput<'a> {
    start: *mut f32,
    len: usize,
    borrow: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: tasks that receive a `SharedOutput` write to disjoint elements only; each use states which.
unsafe impl Send for SharedOutput<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedOutput<'_> {}

impl<'a> SharedOutput<'a> {
    pub(super) fn new(out: &'a mut [f32]) -> Self {
        Self { start: out.as_mut_ptr(), len: out.len(), borrow: std::marker::PhantomData }
    }

    /// The pointer to element `offset`.
    ///
    /// # Safety
    /// `offset` must be within the output.
    pub(super) unsafe fn at(self, offset: usize) -> *mut f32 {
        debug_assert!(offset <= self.len);
        // SAFETY: by contract.
        unsafe { self.start.add(offset) }
    }

    /// Elements `offset..offset + len`.
    ///
    /// # Safety
    /// They must be within the output, and nothing else may read or write them while the slice is alive.
    pub(super) unsafe fn slice(self, offset: usize, len: usize) -> &'a mut [f32] {
        debug_assert!(offset + len <= self.len);
        // SAFETY: by contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(offset), len) }
    }
}
