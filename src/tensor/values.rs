//! Tensors as plain numbers on the host.
//!
//! Invariant: f32, in the tensor's own order, whatever its device, dtype and layout.

use candle_core::{DType, Device, Tensor};

use crate::error::Result;

/// The numbers of a tensor in its own order, f32, on the host.
pub fn to_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    let tensor = tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    Ok(tensor.flatten_all()?.to_vec1()?)
}

/// The numbers of an image `[batch, height, width, channels]` as `[batch, channels, height, width]`, f32, on the host.
pub fn image_to_vec(image: &Tensor) -> Result<Vec<f32>> {
    to_vec(&image.permute([0, 3, 1, 2])?)
}

/// Bytes of a tensor's numbers.
#[must_use]
pub fn bytes(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}
