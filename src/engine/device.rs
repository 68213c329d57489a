//! From the configured device and precision to what a worker computes with.
//!
//! Invariant: workers on the CPU share its cores evenly.

use candle_core::{DType, Device};

use crate::domain::{BackendChoice, Convolutions, DeviceChoice, Dtype, ProductPrecision};
use crate::tensor::Error;
use crate::tensor::{Compute, CpuOptions, WeightPrecision};

/// Open the device, choose the backend and settle the precision. A choice that this machine or this build cannot serve is
/// an error. `convolutions` and `precision` are of the CPU's own kernels.
pub fn compute(
    device: DeviceChoice,
    dtype: Dtype,
    backend: BackendChoice,
    (convolutions, precision): (Convolutions, ProductPrecision),
) -> Result<Compute, Error> {
    let options = CpuOptions { weights: kept_as(dtype), convolutions, precision };
    let ordinal = match device {
        DeviceChoice::Cpu => None,
        DeviceChoice::Cuda(ordinal) => Some(ordinal),
        DeviceChoice::Auto => (cuda_devices() > 0).then_some(0),
    };
    match (ordinal, backend) {
        (None, BackendChoice::Auto) => Compute::on_cpu(options),
        (None, BackendChoice::Kernels(instructions)) => Compute::on_cpu_with(options, instructions),
        // Candle's CPU device is fastest in f32.
        (None, BackendChoice::Candle) => Compute::candle(Device::Cpu, computed_in(dtype, DType::F32)),
        (Some(ordinal), BackendChoice::Kernels(instructions)) => {
            Err(Error::Request(format!("the backend {instructions} runs on the CPU, not on cuda:{ordinal}")))
        }
        (Some(ordinal), _) if !cfg!(feature = "cuda") => {
            Err(Error::Request(format!("device cuda:{ordinal} needs a build with the feature \"cuda\"")))
        }
        (Some(ordinal), _) => Compute::candle(Device::new_cuda_with_stream(ordinal)?, computed_in(dtype, DType::BF16)),
    }
}

/// The precision that the CPU's own kernels keep weights in.
fn kept_as(dtype: Dtype) -> WeightPrecision {
    match dtype {
        Dtype::Auto => WeightPrecision::AsStored,
        Dtype::F32 => WeightPrecision::F32,
        Dtype::Bf16 => WeightPrecision::Bf16,
        Dtype::F16 => WeightPrecision::F16,
    }
}

/// The dtype of weights and activations on candle's devices.
fn computed_in(dtype: Dtype, auto: DType) -> DType {
    match dtype {
        Dtype::Auto => auto,
        Dtype::F32 => DType::F32,
        Dtype::Bf16 => DType::BF16,
        Dtype::F16 => DType::F16,
    }
}

/// The threads that worker `number` computes with on the CPU: its share of all, as workers there get equal parts. None
/// where they cannot be started; the common ones do it then.
pub(super) fn threads(devices: &[DeviceChoice], number: usize) -> Option<rayon::ThreadPool> {
    let on_cpu = devices.iter().filter(|device| is_cpu(**device)).count().max(1);
    let share = (rayon::current_num_threads() / on_cpu).max(1);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(share)
        .thread_name(move |thread| format!("worker-{number}-{thread}"))
        .build();
    pool.inspect_err(|error| tracing::warn!(%error, "a worker has no threads of its own")).ok()
}

fn is_cpu(device: DeviceChoice) -> bool {
    match device {
        DeviceChoice::Cpu => true,
        DeviceChoice::Cuda(_) => false,
        DeviceChoice::Auto => cuda_devices() == 0,
    }
}

#[cfg(feature = "cuda")]
fn cuda_devices() -> usize {
    let count = cudarc::driver::CudaContext::device_count().unwrap_or(0);
    usize::try_from(count).unwrap_or(0)
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{InstructionSet, VariantArray as _};
    use crate::tensor::has_instructions;

    const USUAL: (Convolutions, ProductPrecision) = (Convolutions::Fastest, ProductPrecision::F32);

    #[test]
    fn the_backend_is_the_one_that_is_chosen() {
        let open = |backend| compute(DeviceChoice::Cpu, Dtype::Auto, backend, USUAL);
        let name = |backend| open(backend).expect("this machine has it").backend().name();
        assert!(name(BackendChoice::Auto).starts_with("cpu "));
        assert_eq!(name(BackendChoice::Candle), "candle cpu");
        for &instructions in InstructionSet::VARIANTS {
            match open(BackendChoice::Kernels(instructions)) {
                Ok(compute) => assert_eq!(compute.backend().name(), format!("cpu {instructions}")),
                Err(error) => {
                    assert!(!has_instructions(instructions));
                    assert!(error.to_string().contains(&instructions.to_string()), "{error}");
                }
            }
        }
    }

    #[test]
    fn activations_on_candle_are_in_the_configured_dtype() {
        let dtype =
            |dtype| compute(DeviceChoice::Cpu, dtype, BackendChoice::Candle, USUAL).expect("the CPU is there").dtype();
        assert_eq!(dtype(Dtype::Auto), DType::F32);
        assert_eq!(dtype(Dtype::Bf16), DType::BF16);
        assert_eq!(dtype(Dtype::F16), DType::F16);
    }

    #[test]
    fn kernels_of_the_cpu_are_refused_on_a_gpu() {
        let portable = BackendChoice::Kernels(InstructionSet::Portable);
        let error = compute(DeviceChoice::Cuda(0), Dtype::Auto, portable, USUAL);
        assert!(error.expect_err("not on a GPU").to_string().contains("portable"));
    }
}
