//! [`Backend`] in candle operations: moves weights to the device once, and hands every operation on.

use candle_core::{DType, Device, DeviceLocation, Tensor};

use crate::activation::Activation;
use crate::attention::Attention;
use crate::backend::{
    Backend, ConvOperation, EmbeddingOperation, GroupNormOperation, LayerNormOperation, LinearOperation,
};
use crate::candle::layers::{CandleConv2d, CandleEmbedding, CandleGroupNorm, CandleLayerNorm, CandleLinear};
use crate::candle::{attention, operations};
use crate::conv_shape::ConvShape;
use crate::error::{Error, Result};
use crate::modulation::Modulation;
use crate::stored::StoredTensor;

/// Candle's operations on one device.
pub(crate) struct CandleBackend {
    device: Device,
    /// Of weights and activations.
    dtype: DType,
}

impl CandleBackend {
    /// An error for a dtype that activations cannot have.
    pub(crate) fn new(device: Device, dtype: DType) -> Result<Self> {
        match dtype {
            DType::F32 | DType::F16 | DType::BF16 => Ok(Self { device, dtype }),
            other => Err(Error::Request(format!("activations cannot be {other:?}; known are F32, F16 and BF16"))),
        }
    }

    /// A weight on the device, in `dtype`.
    fn load(&self, stored: &StoredTensor<'_>, dtype: DType) -> Result<Tensor> {
        Ok(stored.to_tensor(&self.device)?.to_dtype(dtype)?)
    }
}

impl Backend for CandleBackend {
    fn name(&self) -> String {
        match self.device.location() {
            DeviceLocation::Cpu => "candle cpu".to_owned(),
            DeviceLocation::Cuda { gpu_id } => format!("candle cuda:{gpu_id}"),
            DeviceLocation::Metal { gpu_id } => format!("candle metal:{gpu_id}"),
        }
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn splits_batches(&self) -> bool {
        false
    }

    fn linear(&self, weight: &StoredTensor<'_>, bias: Option<&StoredTensor<'_>>) -> Result<Box<dyn LinearOperation>> {
        Ok(Box::new(CandleLinear {
            weight: self.load(weight, self.dtype)?,
            bias: bias.map(|bias| self.load(bias, self.dtype)).transpose()?,
        }))
    }

    fn conv2d(
        &self,
        weight: &StoredTensor<'_>,
        bias: Option<&StoredTensor<'_>>,
        shape: ConvShape,
    ) -> Result<Box<dyn ConvOperation>> {
        Ok(Box::new(CandleConv2d {
            weight: self.load(weight, self.dtype)?,
            bias: bias.map(|bias| self.load(bias, self.dtype)).transpose()?,
            shape,
        }))
    }

    fn layer_norm(
        &self,
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        eps: f64,
    ) -> Result<Box<dyn LayerNormOperation>> {
        Ok(Box::new(CandleLayerNorm {
            weight: self.load(weight, DType::F32)?,
            bias: self.load(bias, DType::F32)?,
            eps,
        }))
    }

    fn group_norm(
        &self,
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        groups: usize,
        eps: f64,
    ) -> Result<Box<dyn GroupNormOperation>> {
        let (weight, bias) = (self.load(weight, DType::F32)?, self.load(bias, DType::F32)?);
        Ok(Box::new(CandleGroupNorm { weight, bias, groups, eps }))
    }

    fn embedding(&self, table: &StoredTensor<'_>) -> Result<Box<dyn EmbeddingOperation>> {
        Ok(Box::new(CandleEmbedding { table: table.to_tensor(&self.device)?, dtype: self.dtype }))
    }

    fn attention(&self, inputs: &Attention<'_>) -> Result<Tensor> {
        attention::attention(inputs)
    }

    fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        operations::activate(x, activation)
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        operations::add(a, b)
    }

    fn modulate(&self, x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor> {
        operations::modulate(x, modulation)
    }

    fn upsample_nearest(&self, x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
        operations::upsample_nearest(x, height, width)
    }

    fn concat_channels(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(Tensor::cat(&[a, b], a.rank() - 1)?)
    }

    fn average_pool_2x(&self, x: &Tensor) -> Result<Tensor> {
        operations::average_pool_2x(x)
    }
}
