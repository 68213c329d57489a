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
use crate::cpu::options::{CpuOptions, ProductPrecision};
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
    /// With the kernels of one instruction set, or with the best for this machine; an error if it lacks what is asked for.
    pub(crate) fn new(options: CpuOptions, instructions: Option<InstructionSet>) -> Result<Self> {
        let kernel = match instructions {
            None => kernels::best(),
            Some(set) => kernels::detect(set)
                .ok_or_else(|| Error::Request(format!("this machine lacks the instructions {set}")))?,
        };
        // Other images than those that were asked for, or the same ones at a fraction of the speed, would be worse than none.
        if options.precision == ProductPrecision::Bf16
            && (kernel.pairs().is_none() || is_emulated(kernel, instructions))
        {
            let set = kernel.instruction_set();
            return Err(Error::Request(format!(
                "the precision bf16 needs a processor with AVX512-BF16 or AMX, and the kernels {set} have no such \
                 instructions here; use the precision f32"
            )));
        }
        Ok(Self { kernel, options })
    }
}

/// Whether products in bf16 are plain Rust, without being asked for.
fn is_emulated(kernel: &dyn Kernel, asked: Option<InstructionSet>) -> bool {
    asked.is_none() && kernel.instruction_set() == InstructionSet::Portable
}

impl Backend for CpuBackend {
    fn name(&self) -> String {
        let set = self.kernel.instruction_set();
        match self.options.precision {
            ProductPrecision::F32 => format!("cpu {set}"),
            ProductPrecision::Bf16 => format!("cpu {set} bf16"),
        }
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
        Ok(Box::new(CpuLinear::new(self.kernel, self.options, weight, bias)))
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
        attention::attention(self.kernel, self.options.precision, inputs)
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

    fn concat_channels(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        elementwise::concat_channels(a, b)
    }

    fn average_pool_2x(&self, x: &Tensor) -> Result<Tensor> {
        resample::average_pool_2x(x)
    }
}
