//! From the configured device and precision to what a worker computes with.
//!
//! Invariant: workers on the CPU share its cores evenly.

use candle_core::{DType, Device};

use crate::domain::{DeviceChoice, Dtype};
use crate::tensor::Error;
use crate::tensor::{Compute, WeightPrecision};

/// Open the device and settle the precision.
pub(super) fn compute(device: DeviceChoice, dtype: Dtype) -> Result<Compute, Error> {
    let ordinal = match device {
        DeviceChoice::Cpu => None,
        DeviceChoice::Cuda(ordinal) => Some(ordinal),
        DeviceChoice::Auto => (cuda_devices() > 0).then_some(0),
    };
    let Some(ordinal) = ordinal else {
        let weights = match dtype {
            Dtype::Auto => WeightPrecision::AsStored,
            Dtype::F32 => WeightPrecision::F32,
            Dtype::Bf16 => WeightPrecision::Bf16,
            Dtype::F16 => WeightPrecision::F16,
        };
        return Ok(Compute::on_cpu(weights));
    };
    if !cfg!(feature = "cuda") {
        return Err(Error::Request(format!("device cuda:{ordinal} needs a build with the feature \"cuda\"")));
    }
    let dtype = match dtype {
        Dtype::Auto | Dtype::Bf16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
    };
    Compute::candle(Device::new_cuda_with_stream(ordinal)?, dtype)
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
