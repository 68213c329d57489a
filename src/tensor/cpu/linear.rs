//! Linear layers over packed weights.

use candle_core::Tensor;

use crate::backend::{AfterLinear, LinearOperation};
use crate::cpu::buffers;
use crate::cpu::gemm::Product;
use crate::cpu::kernels::Kernel;
use crate::cpu::operands::Dense;
use crate::cpu::options::CpuOptions;
use crate::cpu::packing::Packed;
use crate::error::Result;
use crate::stored::StoredTensor;

pub(super) struct CpuLinear {
    kernel: &'static dyn Kernel,
    weight: Packed,
    bias: Option<Vec<f32>>,
}

impl CpuLinear {
    pub(super) fn new(
        kernel: &'static dyn Kernel,
        options: CpuOptions,
        weight: &StoredTensor<'_>,
        bias: Option<&StoredTensor<'_>>,
    ) -> Self {
        let weight = match options.pairs(kernel, weight) {
            Some(pairs) => Packed::pairs(weight, pairs),
            None => Packed::new(weight, options.weights),
        };
        Self { kernel, weight, bias: bias.map(StoredTensor::to_f32) }
    }
}

impl LinearOperation for CpuLinear {
    fn forward(&self, x: &Tensor, then: AfterLinear<'_>) -> Result<Tensor> {
        let (residual, activation) = match then {
            AfterLinear::Nothing => (None, None),
            AfterLinear::Add(residual) => (Some(residual), None),
            AfterLinear::Activate(activation) => (None, Some(activation)),
        };
        let mut shape = x.dims().to_vec();
        shape.pop();
        let rows = shape.iter().product::<usize>();
        shape.push(self.weight.width);
        let mut out = buffers::output(rows * self.weight.width);
        buffers::with_values(x, |values| {
            buffers::with_optional(residual, |residual| {
                let (kernel, weights, bias) = (self.kernel, &self.weight, self.bias.as_deref());
                let product = Product { kernel, weights, bias, residual, activation };
                product.run(&Dense::new(values, self.weight.depth), rows, &mut out);
            })
        })??;
        buffers::tensor(out, &shape)
    }
}
