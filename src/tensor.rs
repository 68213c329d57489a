//! Layers that pick a kernel by device. Networks are written in these and know neither device, dtype nor memory layout.
//!
//! Invariants: pictures are NHWC inside (`[batch, height, width, channels]`), sequences `[batch, tokens, width]`; on the
//! CPU every output element is one chain of additions whose order depends on the layer alone, so a row's result is
//! bit-equal alone and in any batch. All unsafe arithmetic code of the project is below this module.
//!
//! On the CPU: prepacked weights kept in the precision of the checkpoint, f32 activations, own kernels chosen at run
//! time by CPUID. On other devices: plain candle operations (`tensor/reference.rs`), which are also the oracle in tests.

mod activation;
mod attention;
mod conv2d;
mod cpu;
mod embedding;
pub mod error;
pub mod files;
mod gemm;
mod kernel;
mod linear;
mod norm;
mod packed;
pub mod probe;
pub mod reference;
mod resample;
mod rows;
pub mod weights;

use candle_core::{DType, Device, Tensor};

pub use activation::{Activation, activate};
pub use attention::{Attention, attention, check_heads};
pub use conv2d::{Conv2d, ConvShape};
pub use embedding::Embedding;
pub use error::{Error, Result};
pub use linear::Linear;
pub use norm::{GroupNorm, LayerNorm, modulate};
pub use packed::WeightPrecision;
pub use resample::{average_pool_2x, concat_channels, upsample_nearest};
pub use rows::by_rows;

/// Where and in which precision a model computes.
#[derive(Debug, Clone)]
pub struct Compute {
    pub device: Device,
    /// Dtype of activations. The CPU kernels compute in f32.
    pub dtype: DType,
    /// Dtype that weights are kept in on the CPU.
    pub weights: WeightPrecision,
}

impl Compute {
    /// f32 activations on the CPU, weights as the checkpoint stores them.
    #[must_use]
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, dtype: DType::F32, weights: WeightPrecision::AsStored }
    }

    /// Bring plain numbers to the device. `shape` must hold `values.len()` elements.
    pub fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_vec(values, shape, &self.device)?.to_dtype(self.dtype)?)
    }

    /// `[batch, channels, height, width]` numbers as a picture in the internal layout.
    pub fn picture(&self, values: Vec<f32>, nchw: [usize; 4]) -> Result<Tensor> {
        let tensor = Tensor::from_vec(values, &nchw[..], &Device::Cpu)?;
        let tensor = tensor.permute([0, 2, 3, 1])?.contiguous()?;
        Ok(tensor.to_device(&self.device)?.to_dtype(self.dtype)?)
    }
}

/// Numbers of a tensor in its own order, f32, on the host.
pub fn to_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    let tensor = tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    Ok(tensor.flatten_all()?.to_vec1()?)
}

/// Numbers of a picture as `[batch, channels, height, width]`, f32, on the host.
pub fn picture_to_vec(picture: &Tensor) -> Result<Vec<f32>> {
    to_vec(&picture.permute([0, 3, 1, 2])?)
}

/// `a + b`, same shapes.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !a.device().is_cpu() {
        return Ok((a + b)?);
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    cpu::map2(&a, &b, |x, y| x + y)
}
