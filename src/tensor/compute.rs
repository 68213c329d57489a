//! Where, with which operations and in which precision a model computes.
//!
//! Invariant: the backend is chosen here, once per model; nothing that is given a [`Compute`] chooses again.

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::activation::Activation;
use crate::attention::Attention;
use crate::backend::Backend;
use crate::candle::CandleBackend;
use crate::cpu::{CpuBackend, CpuOptions};
use crate::error::{Error, Result};
use crate::instructions::InstructionSet;
use crate::meter::{Meter, Metered};
use crate::modulation::Modulation;

/// A handle to the backend that a model was loaded with, and the operations that need no weights.
#[derive(Clone)]
pub struct Compute {
    backend: Arc<dyn Backend>,
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.backend.name(), self.dtype())
    }
}

impl Compute {
    /// The CPU with its best kernels: f32 activations, weights in the precision that the checkpoint stores.
    #[must_use]
    pub fn cpu() -> Self {
        match Self::on_cpu(CpuOptions::default()) {
            Ok(compute) => compute,
            Err(_) => unreachable!("every machine has kernels in f32"),
        }
    }

    /// The CPU with its best kernels: f32 activations, and what `options` says.
    ///
    /// # Errors
    /// [`Error::Request`] if this machine cannot compute in the precision.
    pub fn on_cpu(options: impl Into<CpuOptions>) -> Result<Self> {
        Ok(Self { backend: Arc::new(CpuBackend::new(options.into(), None)?) })
    }

    /// The CPU with the kernels of one instruction set.
    ///
    /// # Errors
    /// [`Error::Request`] if this machine lacks the instructions, or cannot compute in the precision with them.
    pub fn on_cpu_with(options: impl Into<CpuOptions>, instructions: InstructionSet) -> Result<Self> {
        Ok(Self { backend: Arc::new(CpuBackend::new(options.into(), Some(instructions))?) })
    }

    /// Plain candle operations on `device`, which may be the CPU, with weights and activations in `dtype`.
    ///
    /// # Errors
    /// [`Error::Request`] if `dtype` is none of f32, bf16 and f16.
    pub fn candle(device: Device, dtype: DType) -> Result<Self> {
        Ok(Self { backend: Arc::new(CandleBackend::new(device, dtype)?) })
    }

    /// The same, for layers that are loaded from now on, with an account of what each kind of them takes.
    #[must_use]
    pub fn metered(&self) -> (Self, Meter) {
        let meter = Meter::default();
        (Self { backend: Arc::new(Metered { inner: self.backend.clone(), meter: meter.clone() }) }, meter)
    }

    /// The operations that layers ask for.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Where activations are.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.backend.device()
    }

    /// The dtype of activations.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.backend.dtype()
    }

    /// Plain numbers as a tensor of the dtype of activations. `shape` must hold `values.len()` elements.
    pub fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_vec(values, shape, self.device())?.to_dtype(self.dtype())?)
    }

    /// `[batch, channels, height, width]` numbers as an image `[batch, height, width, channels]`.
    pub fn image(&self, values: Vec<f32>, nchw: [usize; 4]) -> Result<Tensor> {
        let tensor = Tensor::from_vec(values, &nchw[..], &Device::Cpu)?;
        let tensor = tensor.permute([0, 2, 3, 1])?.contiguous()?;
        Ok(tensor.to_device(self.device())?.to_dtype(self.dtype())?)
    }

    /// Scaled dot-product attention, `softmax(q k^T / sqrt(head_width) + bias) v`: `[batch, queries, heads * head_width]`.
    pub fn attention(&self, inputs: &Attention<'_>) -> Result<Tensor> {
        inputs.check()?;
        self.backend.attention(inputs)
    }

    /// The activation of every element, same shape.
    pub fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.backend.activate(x, activation)
    }

    /// `a + b`, same shapes.
    pub fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        if a.dims() != b.dims() {
            return Err(Error::shape(format!("shapes {:?} and {:?} differ", a.dims(), b.dims())));
        }
        self.backend.add(a, b)
    }

    /// `x * scale + shift` of an image `[batch, height, width, channels]`, then SiLU if asked for.
    pub fn modulate(&self, x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor> {
        modulation.check(x)?;
        self.backend.modulate(x, modulation)
    }

    /// An image `[batch, height, width, channels]` as `[batch, height', width', channels]`, by nearest neighbour,
    /// `floor(i * in / out)`, as `torch.nn.functional.interpolate`.
    pub fn upsample_nearest(&self, x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
        let (_, from_height, from_width, _) = x.dims4()?;
        if (from_height, from_width) == (height, width) {
            return Ok(x.clone());
        }
        self.backend.upsample_nearest(x, height, width)
    }

    /// `[..., a]` and `[..., b]`, of which all other dimensions are the same, to `[..., a + b]`.
    pub fn concat_channels(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        match (a.dims().split_last(), b.dims().split_last()) {
            (Some((1.., of_a)), Some((1.., of_b))) if of_a == of_b => self.backend.concat_channels(a, b),
            _ => Err(Error::shape(format!("channels of {:?} and {:?} cannot be joined", a.dims(), b.dims()))),
        }
    }

    /// 2x2 average pooling of an image with even sides: `[batch, height, width, channels]` to
    /// `[batch, height / 2, width / 2, channels]`.
    pub fn average_pool_2x(&self, x: &Tensor) -> Result<Tensor> {
        let (_, height, width, _) = x.dims4()?;
        if !height.is_multiple_of(2) || !width.is_multiple_of(2) {
            return Err(Error::shape(format!("2x2 pooling of an image of {height}x{width}")));
        }
        self.backend.average_pool_2x(x)
    }
}
