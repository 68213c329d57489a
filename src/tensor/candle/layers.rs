//! The layers with weights, as candle tensors on the device.

use candle_core::{DType, Tensor};

use crate::backend::{
    AfterLinear, AfterNorm, ConvOperation, EmbeddingOperation, GroupNormOperation, LayerNormOperation, LinearOperation,
};
use crate::candle::{checks, operations, products};
use crate::conv_shape::ConvShape;
use crate::error::Result;

pub(super) struct CandleLinear {
    /// `[outputs, inputs]`.
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

impl LinearOperation for CandleLinear {
    fn forward(&self, x: &Tensor, then: AfterLinear<'_>) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        let inputs = shape.pop().unwrap_or(0);
        let rows: usize = shape.iter().product();
        shape.push(self.weight.dim(0)?);
        let y = products::matmul(&x.reshape((rows, inputs))?, &self.weight.t()?)?;
        let y = add_bias(y, self.bias.as_ref())?.reshape(shape)?;
        match then {
            AfterLinear::Nothing => Ok(y),
            AfterLinear::Add(residual) => add_residual(y, Some(residual)),
            AfterLinear::Activate(activation) => operations::activate(&y, activation),
        }
    }
}

pub(super) struct CandleConv2d {
    /// `[outputs, inputs, kernel, kernel]`.
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) shape: ConvShape,
}

impl ConvOperation for CandleConv2d {
    fn forward(&self, x: &Tensor, enlarged: bool, residual: Option<&Tensor>) -> Result<Tensor> {
        let (_, height, width, _) = x.dims4()?;
        let x = if enlarged { operations::upsample_nearest(x, 2 * height, 2 * width)? } else { x.clone() };
        let x = x.permute([0, 3, 1, 2])?.contiguous()?;
        let ConvShape { pad_before, pad_after, .. } = self.shape;
        // Candle pads all sides alike.
        let (x, padding) = if pad_before == pad_after {
            (x, pad_before)
        } else {
            (x.pad_with_zeros(2, pad_before, pad_after)?.pad_with_zeros(3, pad_before, pad_after)?, 0)
        };
        let y = products::conv2d(&x, &self.weight, padding, self.shape)?.permute([0, 2, 3, 1])?.contiguous()?;
        add_residual(add_bias(y, self.bias.as_ref())?, residual)
    }
}

/// `y + bias` over the last dimension.
fn add_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    checks::elements("bias", y.dims())?;
    Ok(match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    })
}

fn add_residual(y: Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
    match residual {
        Some(residual) => operations::add(&y, residual),
        None => Ok(y),
    }
}

pub(super) struct CandleLayerNorm {
    /// In f32, as `bias`.
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) eps: f64,
}

impl LayerNormOperation for CandleLayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(operations::layer_norm(x, &self.weight, &self.bias, self.eps)?.to_dtype(x.dtype())?)
    }
}

pub(super) struct CandleGroupNorm {
    /// In f32, as `bias`.
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) groups: usize,
    pub(super) eps: f64,
}

impl GroupNormOperation for CandleGroupNorm {
    fn forward(&self, x: &Tensor, then: AfterNorm<'_>) -> Result<Tensor> {
        let y = operations::group_norm(x, &self.weight, &self.bias, self.groups, self.eps)?;
        let y = match then {
            AfterNorm::Nothing => y,
            AfterNorm::Silu => y.silu()?,
            AfterNorm::ScaleShiftSilu(scale_shift) => operations::scale_shift_silu(&y, scale_shift)?,
            AfterNorm::Modulate(modulation) => return operations::modulate(&y.to_dtype(x.dtype())?, modulation),
        };
        Ok(y.to_dtype(x.dtype())?)
    }
}

pub(super) struct CandleEmbedding {
    /// In the dtype that it is stored in.
    pub(super) table: Tensor,
    pub(super) dtype: DType,
}

impl EmbeddingOperation for CandleEmbedding {
    fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        let ids = Tensor::new(ids, self.table.device())?;
        checks::selection(&self.table, &ids)?;
        Ok(self.table.index_select(&ids, 0)?.to_dtype(self.dtype)?)
    }
}
