//! [`Backend`] for the CPU: hands every operation to the file that has it, with the kernels that were chosen at load.

use candle_core::{DType, Device, Tensor};

use crate::activation::Activation;
use crate::attention::Attention;
use crate::backend::{
    Backend, ConvOperation, EmbeddingOperation, GroupNormOperation, LayerNormOperation, LinearOperation,
};
use crate::conv_shape::ConvShape;
use crate::cpu::conv::CpuConv2d;
use crate::cpu::embedding::CpuEmbedding;
use crate::cpu::kernels::{self, Kernel};
use crate::cpu::linear::CpuLinear;
use crate::cpu::norms::{CpuGroupNorm, CpuLayerNorm};
use crate::cpu::options::CpuOptions;
use crate::cpu::{attention, elementwise, resample};
use crate::error::{Error, Result};
use crate::instructions::InstructionSet;
use crate::modulation::Modulation;
use crate::stored::StoredTensor;

/// Own kernels over packed weights.
pub(crate) struct CpuBackend {
    kernel: &'static dyn Kernel,
    options: CpuOptions,
}

impl CpuBackend {
    /// With the best kernels for this machine.
    pub(crate) fn best(options: CpuOptions) -> Self {
        Self { kernel: kernels::best(), options }
    }

    /// With the kernels of one instruction set; an error if this machine lacks it.
    pub(crate) fn new(options: CpuOptions, instructions: InstructionSet) -> Result<Self> {
        match kernels::detect(instructions) {
            Some(kernel) => Ok(Self { kernel, options }),
            None => Err(Error::Request(format!("this machine lacks the instructions {instructions}"))),
        }
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> String {
        format!("cpu {}", self.kernel.instruction_set())
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn dtype(&self) -> DType {
        DType::F32
    }

    fn splits_batches(&self) -> bool {
        true
    }

    fn operations_a_second(&self) -> f64 {
        kernels::operations_a_second(self.kernel)
    }

    fn linear(&self, weight: &StoredTensor<'_>, bias: Option<&StoredTensor<'_>>) -> Result<Box<dyn LinearOperation>> {
        Ok(Box::new(CpuLinear::new(self.kernel, self.options.weights, weight, bias)))
    }

    fn conv2d(
        &self,
        weight: &StoredTensor<'_>,
        bias: Option<&StoredTensor<'_>>,
        shape: ConvShape,
    ) -> Result<Box<dyn ConvOperation>> {
        Ok(Box::new(CpuConv2d::new(self.kernel, self.options, weight, bias, shape)))
    }

    fn layer_norm(
        &self,
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        eps: f64,
    ) -> Result<Box<dyn LayerNormOperation>> {
        Ok(Box::new(CpuLayerNorm { kernel: self.kernel, weight: weight.to_f32(), bias: bias.to_f32(), eps }))
    }

    fn group_norm(
        &self,
        weight: &StoredTensor<'_>,
        bias: &StoredTensor<'_>,
        groups: usize,
        eps: f64,
    ) -> Result<Box<dyn GroupNormOperation>> {
        Ok(Box::new(CpuGroupNorm::new(self.kernel, weight, bias, groups, eps)))
    }

    fn embedding(&self, table: &StoredTensor<'_>) -> Result<Box<dyn EmbeddingOperation>> {
        Ok(Box::new(CpuEmbedding::new(table)))
    }

    fn attention(&self, inputs: &Attention<'_>) -> Result<Tensor> {
        attention::attention(self.kernel, inputs)
    }

    fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        elementwise::activate(self.kernel, x, activation)
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        elementwise::add(self.kernel, a, b)
    }

    fn modulate(&self, x: &Tensor, modulation: &Modulation<'_>) -> Result<Tensor> {
        elementwise::modulate(self.kernel, x, modulation)
    }

    fn upsample_nearest(&self, x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
        resample::upsample_nearest(x, height, width)
    }

    fn average_pool_2x(&self, x: &Tensor) -> Result<Tensor> {
        resample::average_pool_2x(x)
    }
}
