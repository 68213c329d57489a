//! Products of matrices and convolutions, checked for CUDA.
//!
//! Invariant: a product takes and gives the dtype of activations. Candle's CPU device has none in bf16: there the operands
//! are widened to f32 and the result is rounded, which is what cuBLAS computes but for the order of the sum. In f16 the CPU
//! device rounds a sum to f16 every few hundred terms, where cuBLAS keeps it in f32.

use candle_core::{DType, Tensor};

use crate::candle::checks;
use crate::conv_shape::ConvShape;
use crate::error::Result;

/// `[..., m, k]` times `[..., k, n]`.
pub(super) fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    checks::product(a, b)?;
    widened(a, b, |a, b| Ok(a.matmul(b)?))
}

/// Convolution of an NCHW image with an OIHW weight, padded evenly by `padding`.
pub(super) fn conv2d(x: &Tensor, weight: &Tensor, padding: usize, shape: ConvShape) -> Result<Tensor> {
    checks::same_dtype("conv2d", x, weight)?;
    checks::elements("conv2d", x.dims())?;
    let (batch, channels, height, width) = x.dims4()?;
    let even = ConvShape { pad_before: padding, pad_after: padding, ..shape };
    let pixels = even.output(height).unwrap_or(0) * even.output(width).unwrap_or(0);
    let sample = pixels * channels * shape.kernel * shape.kernel;
    let conv = |x: &Tensor| widened(x, weight, |x, weight| Ok(x.conv2d(weight, padding, shape.stride, 1, 1)?));
    let at_once = (checks::MOST_IM2COL / sample.max(1)).clamp(1, batch.max(1));
    checks::im2col(at_once * sample)?;
    if at_once == batch {
        return conv(x);
    }
    let parts = (0..batch)
        .step_by(at_once)
        .map(|first| conv(&x.narrow(0, first, at_once.min(batch - first))?))
        .collect::<Result<Vec<Tensor>>>()?;
    Ok(Tensor::cat(&parts, 0)?)
}

/// `f(a, b)` in a dtype in which the device can compute it.
fn widened(a: &Tensor, b: &Tensor, f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if a.device().is_cpu() && a.dtype() == DType::BF16 {
        return Ok(f(&a.to_dtype(DType::F32)?, &b.to_dtype(DType::F32)?)?.to_dtype(DType::BF16)?);
    }
    f(a, b)
}
