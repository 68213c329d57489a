//! Which device and which precision to compute in.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};

use crate::tensor::Error;
use crate::tensor::{Compute, WeightPrecision};

/// A device as the configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("unknown device {other:?}; known are auto, cpu and cuda:N")),
        }
    }
}

impl DeviceChoice {
    /// The devices of a list with commas, a worker for each.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        text.split(',').map(|name| name.trim().parse()).collect()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// A precision as the configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dtype {
    /// Weights as the checkpoint stores them on the CPU, bf16 on a GPU.
    #[default]
    Auto,
    F32,
    Bf16,
    F16,
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            other => Err(format!("unknown dtype {other:?}; known are auto, f32, bf16 and f16")),
        }
    }
}

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
