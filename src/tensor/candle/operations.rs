//! The operations without weights, and the norms, in candle operations.

use candle_core::{D, DType, Tensor};

use crate::activation::Activation;
use crate::candle::checks;
use crate::error::Result;
use crate::modulation::Modulation;

/// The activation of every element.
pub(super) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    checks::elements("activation", x.dims())?;
    Ok(match activation {
        Activation::Silu => x.silu()?,
        // x * sigmoid(1.702 x) = silu(1.702 x) / 1.702
        Activation::QuickGelu => ((x * 1.702)?.silu()? / 1.702)?,
        Activation::Gelu => x.gelu_erf()?,
        Activation::GeluTanh => x.gelu()?,
        Activation::Relu => x.relu()?,
    })
}

/// `a + b`, same shapes.
pub(super) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    checks::same_dtype("add", a, b)?;
    checks::elements("add", a.dims())?;
    Ok((a + b)?)
}

/// `x * scale + shift`, scales and shifts enlarged to `x`'s size, then SiLU if asked for.
pub(super) fn modulate(x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor> {
    let (_, height, width, _) = x.dims4()?;
    let scale = upsample_nearest(modulation.scale, height, width)?;
    let shift = upsample_nearest(modulation.shift, height, width)?;
    checks::same_dtype("modulate", x, &scale)?;
    checks::same_dtype("modulate", x, &shift)?;
    let y = ((x * scale)? + shift)?;
    Ok(if modulation.then_silu { y.silu()? } else { y })
}

/// An NHWC image in another size by nearest neighbour.
pub(super) fn upsample_nearest(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (batch, from_height, from_width, channels) = x.dims4()?;
    checks::elements("upsample_nearest", &[batch, height, width, channels])?;
    if (from_height, from_width) == (height, width) {
        return Ok(x.clone());
    }
    let nchw = x.permute([0, 3, 1, 2])?.contiguous()?;
    Ok(nchw.upsample_nearest2d(height, width)?.permute([0, 2, 3, 1])?.contiguous()?)
}

/// 2x2 average pooling of an NHWC image.
pub(super) fn average_pool_2x(x: &Tensor) -> Result<Tensor> {
    checks::elements("average_pool", x.dims())?;
    let nchw = x.permute([0, 3, 1, 2])?.contiguous()?;
    Ok(nchw.avg_pool2d(2)?.permute([0, 2, 3, 1])?.contiguous()?)
}

/// Layer norm over the last dimension in f32, with f32 `weight` and `bias`; the result is f32.
pub(super) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    checks::elements("layer_norm", x.dims())?;
    let normal = normalise(&x.to_dtype(DType::F32)?, eps)?;
    Ok(normal.broadcast_mul(weight)?.broadcast_add(bias)?)
}

/// Group norm of `[batch, ..., channels]` in f32, with f32 `weight` and `bias`; the result is f32.
pub(super) fn group_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, groups: usize, eps: f64) -> Result<Tensor> {
    checks::elements("group_norm", x.dims())?;
    let dims = x.dims();
    let (batch, channels) = (dims[0], dims[dims.len() - 1]);
    let pixels = dims[1..dims.len() - 1].iter().product::<usize>();
    let grouped = x
        .to_dtype(DType::F32)?
        .reshape((batch, pixels, groups, channels / groups))?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((batch, groups, pixels * (channels / groups)))?;
    let normal = normalise(&grouped, eps)?
        .reshape((batch, groups, pixels, channels / groups))?
        .transpose(1, 2)?
        .contiguous()?
        .reshape(dims)?;
    Ok(normal.broadcast_mul(weight)?.broadcast_add(bias)?)
}

/// `(x - mean) / sqrt(variance + eps)` over the last dimension.
fn normalise(x: &Tensor, eps: f64) -> Result<Tensor> {
    checks::accumulator("norm", x)?;
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    Ok(centred.broadcast_div(&(variance + eps)?.sqrt()?)?)
}

/// `silu(x * (1 + scale) + shift)` of `[batch, ..., channels]` with `[batch, 2 * channels]` scales and shifts.
pub(super) fn scale_shift_silu(x: &Tensor, scale_shift: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; x.rank()];
    (shape[0], shape[x.rank() - 1]) = (x.dim(0)?, x.dim(D::Minus1)?);
    let parts = scale_shift.to_dtype(x.dtype())?.chunk(2, 1)?;
    let spread = |part: &Tensor| part.contiguous()?.reshape(shape.as_slice());
    let y = x.broadcast_mul(&(spread(&parts[0])? + 1.0)?)?.broadcast_add(&spread(&parts[1])?)?;
    Ok(y.silu()?)
}
