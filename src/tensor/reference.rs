//! The layers in plain candle operations: what runs on devices without own kernels, and the oracle of the CPU kernels.

use candle_core::{D, DType, Tensor};

use crate::tensor::attention::Attention;
use crate::tensor::conv2d::ConvShape;
use crate::tensor::error::Result;

/// `x W^T + b` over the last dimension.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let inputs = shape.pop().unwrap_or(0);
    let rows: usize = shape.iter().product();
    shape.push(weight.dim(0)?);
    let y = x.reshape((rows, inputs))?.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    Ok(y.reshape(shape)?)
}

/// Convolution of an NHWC picture with an OIHW weight.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: ConvShape) -> Result<Tensor> {
    let x = x.permute([0, 3, 1, 2])?.contiguous()?;
    let even = shape.pad_before == shape.pad_after;
    let x = if even {
        x
    } else {
        x.pad_with_zeros(2, shape.pad_before, shape.pad_after)?.pad_with_zeros(3, shape.pad_before, shape.pad_after)?
    };
    let y = x.conv2d(weight, if even { shape.pad_before } else { 0 }, shape.stride, 1, 1)?;
    let y = y.permute([0, 2, 3, 1])?;
    Ok(match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y.contiguous()?,
    })
}

/// Layer norm over the last dimension, statistics in f32.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let dtype = x.dtype();
    let x = x.to_dtype(DType::F32)?;
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let y = centred.broadcast_div(&(variance + eps)?.sqrt()?)?.to_dtype(dtype)?;
    Ok(y.broadcast_mul(weight)?.broadcast_add(bias)?)
}

/// Group norm of `[batch, ..., channels]`, statistics in f32.
pub fn group_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, groups: usize, eps: f64) -> Result<Tensor> {
    let (dims, dtype) = (x.dims().to_vec(), x.dtype());
    let (batch, channels) = (dims[0], dims[dims.len() - 1]);
    let pixels = dims[1..dims.len() - 1].iter().product::<usize>();
    let grouped = x
        .to_dtype(DType::F32)?
        .reshape((batch, pixels, groups, channels / groups))?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((batch, groups, pixels * (channels / groups)))?;
    let centred = grouped.broadcast_sub(&grouped.mean_keepdim(2)?)?;
    let variance = centred.sqr()?.mean_keepdim(2)?;
    let y = centred
        .broadcast_div(&(variance + eps)?.sqrt()?)?
        .reshape((batch, groups, pixels, channels / groups))?
        .transpose(1, 2)?
        .contiguous()?
        .reshape(dims)?
        .to_dtype(dtype)?;
    Ok(y.broadcast_mul(weight)?.broadcast_add(bias)?)
}

/// `silu(x * (1 + scale) + shift)` of an NHWC picture with `[batch, 2 * channels]` scales and shifts.
pub fn scale_shift_silu(x: &Tensor, scale_shift: &Tensor) -> Result<Tensor> {
    let parts = scale_shift.chunk(2, 1)?;
    let spread = |t: &Tensor| t.unsqueeze(1)?.unsqueeze(1);
    let y = x.broadcast_mul(&(spread(&parts[0])? + 1.0)?)?.broadcast_add(&spread(&parts[1])?)?;
    Ok(y.silu()?)
}

/// See [`super::attention`].
#[expect(clippy::cast_precision_loss, reason = "head widths are small")]
pub fn attention(inputs: &Attention<'_>) -> Result<Tensor> {
    let (batch, queries, width) = inputs.query.dims3()?;
    let head_width = width / inputs.heads;
    let split = |t: &Tensor| -> Result<Tensor> {
        let (batch, tokens, _) = t.dims3()?;
        Ok(t.reshape((batch, tokens, inputs.heads, head_width))?.transpose(1, 2)?.contiguous()?)
    };
    let join = |own: &Tensor, context: Vec<&Tensor>| -> Result<Tensor> {
        if context.is_empty() {
            return Ok(own.clone());
        }
        Ok(Tensor::cat(&[&Tensor::stack(&context, 0)?, own], 1)?)
    };
    let key = join(inputs.key, inputs.context.iter().map(|c| c.0).collect())?;
    let value = join(inputs.value, inputs.context.iter().map(|c| c.1).collect())?;
    let (q, k, v) = (split(inputs.query)?, split(&key)?, split(&value)?);
    let scores = (q.matmul(&k.t()?)? * (1.0 / (head_width as f64).sqrt()))?.to_dtype(DType::F32)?;
    let scores = match inputs.bias {
        Some(bias) => scores.broadcast_add(&bias.to_dtype(DType::F32)?.unsqueeze(1)?)?,
        None => scores,
    };
    let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?.to_dtype(v.dtype())?;
    let y = weights.matmul(&v)?;
    Ok(y.transpose(1, 2)?.contiguous()?.reshape((batch, queries, width))?)
}
