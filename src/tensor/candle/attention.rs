//! Attention in candle operations: all scores of a call are one tensor.

use candle_core::{D, DType, Tensor};

use crate::attention::Attention;
use crate::candle::{checks, products};
use crate::error::Result;

/// `[batch, queries, heads * head_width]`; the softmax is computed in f32.
#[expect(clippy::cast_precision_loss, reason = "head widths are small")]
pub(super) fn attention(inputs: &Attention<'_>) -> Result<Tensor> {
    let shape = inputs.check()?;
    checks::elements("attention", &[shape.batch, shape.heads, shape.queries, shape.keys])?;
    checks::same_dtype("attention", inputs.query, inputs.key)?;
    checks::same_dtype("attention", inputs.query, inputs.value)?;
    let key = join(inputs.key, &inputs.context.iter().map(|c| c.0).collect::<Vec<_>>())?;
    let value = join(inputs.value, &inputs.context.iter().map(|c| c.1).collect::<Vec<_>>())?;
    // `[batch, tokens, heads * head_width]` to `[batch, heads, tokens, head_width]`.
    let split = |t: &Tensor| -> Result<Tensor> {
        let (batch, tokens, _) = t.dims3()?;
        Ok(t.reshape((batch, tokens, shape.heads, shape.head_width))?.transpose(1, 2)?.contiguous()?)
    };
    // Scaled before the product, whose sums could else pass f16's range.
    let query = (split(inputs.query)? * (1.0 / (shape.head_width as f64).sqrt()))?;
    let (key, value) = (split(&key)?, split(&value)?);
    let scores = products::matmul(&query, &key.t()?)?.to_dtype(DType::F32)?;
    let scores = match inputs.bias {
        Some(bias) => scores.broadcast_add(&bias.to_dtype(DType::F32)?.unsqueeze(1)?)?,
        None => scores,
    };
    let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    checks::accumulator("softmax", &weights)?;
    let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?.to_dtype(value.dtype())?;
    let y = products::matmul(&weights, &value)?;
    Ok(y.transpose(1, 2)?.contiguous()?.reshape((shape.batch, shape.queries, shape.width()))?)
}

/// Context tokens before own tokens, per sample.
fn join(own: &Tensor, context: &[&Tensor]) -> Result<Tensor> {
    if context.is_empty() {
        return Ok(own.clone());
    }
    let context = Tensor::stack(context, 0)?;
    checks::same_dtype("attention", own, &context)?;
    Ok(Tensor::cat(&[&context, own], 1)?)
}
