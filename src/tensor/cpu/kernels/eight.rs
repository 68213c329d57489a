//! A register without special instructions: eight numbers that the compiler vectorises as far as the target allows.
//!
//! Invariant: a product is rounded before it is added.

use half::{bf16, f16};

use crate::cpu::kernels::lanes::{Lanes, Widen};

/// Eight numbers that stand in for a register.
#[derive(Clone, Copy)]
pub(super) struct Eight([f32; 8]);

impl Eight {
    #[inline(always)]
    fn each(f: impl Fn(usize) -> f32) -> Self {
        Self(std::array::from_fn(f))
    }

    #[inline(always)]
    pub(super) fn get(self, index: usize) -> f32 {
        self.0[index]
    }
}

impl Lanes for Eight {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: by contract.
        unsafe { Self(from.cast::<[f32; 8]>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: by contract.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self::each(|i| self.0[i] + other.0[i])
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self::each(|i| self.0[i] - other.0[i])
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self::each(|i| self.0[i] + a.0[i] * b.0[i])
    }
}

impl Widen<f32> for Eight {
    #[inline(always)]
    unsafe fn widen(from: *const f32) -> Self {
        // SAFETY: by contract.
        unsafe { Self::load(from) }
    }
}

impl Widen<f16> for Eight {
    #[inline(always)]
    unsafe fn widen(from: *const f16) -> Self {
        // SAFETY: by contract.
        Self::each(|i| unsafe { *from.add(i) }.to_f32())
    }
}

impl Widen<bf16> for Eight {
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> Self {
        // SAFETY: by contract.
        Self::each(|i| unsafe { *from.add(i) }.to_f32())
    }
}
