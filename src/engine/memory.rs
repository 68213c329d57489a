//! How much memory the device has, and whether it is still there.
//!
//! Invariant: decisions are plain arithmetic on plain numbers; only [`budget`] asks the device.

use candle_core::Device;

use crate::tensor::Error;

/// Bytes that batches may take; None on the CPU, where the caps by time are lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Budget(Option<u64>);

impl Budget {
    /// What is left for activations of `free` bytes: some stays for fragmentation and for others.
    #[cfg(any(test, feature = "cuda"))]
    pub(super) fn of_free(free: u64) -> Self {
        Self(Some(free / 4 * 3))
    }

    /// Most rows of one batch whose rows take `row` bytes, at least 1.
    pub(super) fn rows(self, row: u64) -> usize {
        let Some(bytes) = self.0 else { return usize::MAX };
        usize::try_from(bytes / row.max(1)).unwrap_or(usize::MAX).max(1)
    }
}

/// What batches on this device may take, now that the model is resident.
#[cfg(feature = "cuda")]
pub(super) fn budget(device: &Device) -> Budget {
    if device.is_cpu() {
        return Budget::default();
    }
    match cudarc::driver::result::mem_get_info() {
        Ok((free, _)) => Budget::of_free(free as u64),
        Err(_) => Budget::default(),
    }
}

/// What batches on this device may take, now that the model is resident.
#[cfg(not(feature = "cuda"))]
pub(super) fn budget(_device: &Device) -> Budget {
    Budget::default()
}

/// Memory in use on a worker's device, bytes; None on the CPU. To be asked on the worker's own thread.
#[cfg(feature = "cuda")]
pub(super) fn used(device: &Device) -> Option<u64> {
    let (free, total) = cudarc::driver::result::mem_get_info().ok().filter(|_| !device.is_cpu())?;
    Some(total.saturating_sub(free) as u64)
}

/// Memory in use on a worker's device, bytes; None on the CPU.
#[cfg(not(feature = "cuda"))]
pub(super) fn used(_device: &Device) -> Option<u64> {
    None
}

/// Whether an error says that the device does not answer any more: every later call would fail, too.
pub(super) fn is_device_lost(error: &Error) -> bool {
    /// Errors after which a CUDA context is unusable.
    const LOST: [&str; 8] = [
        "CUDA_ERROR_ILLEGAL_ADDRESS",
        "CUDA_ERROR_LAUNCH_FAILED",
        "CUDA_ERROR_LAUNCH_TIMEOUT",
        "CUDA_ERROR_ECC_UNCORRECTABLE",
        "CUDA_ERROR_DEVICE_UNAVAILABLE",
        "CUDA_ERROR_NO_DEVICE",
        "CUDA_ERROR_CONTEXT_IS_DESTROYED",
        "CUDA_ERROR_HARDWARE_STACK_ERROR",
    ];
    let Error::Tensor(error) = error else { return false };
    let text = format!("{error:?}");
    LOST.iter().any(|name| text.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_rows_are_fewer_and_at_least_one() {
        let budget = Budget::of_free(4 << 30);
        // 3 GiB over 64 KiB a latent.
        assert_eq!(budget.rows((64 << 10) * 64 * 64), 12);
        assert_eq!(budget.rows((64 << 10) * 128 * 128), 3);
        assert_eq!(Budget::of_free(0).rows(1), 1);
        assert_eq!(Budget::default().rows(u64::MAX), usize::MAX);
    }

    #[test]
    fn a_lost_device_is_told_from_a_full_one() {
        let error = |text: &str| Error::Tensor(candle_core::Error::Msg(text.to_owned()));
        assert!(is_device_lost(&error("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"...\")")));
        assert!(!is_device_lost(&error("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")")));
    }
}
