//! A register of f32, as far as code that is the same for every instruction set needs one.
//!
//! Invariant: [`Lanes::add_product`] rounds as the set's products of matrices do: once, but for `portable`.

use half::{bf16, f16};

use crate::cpu::kernels::sizes::{LINE, PAIR_LINE};

/// A register of [`Lanes::COUNT`] f32. Its methods are inlined into functions that enable the set's instructions.
///
/// # Safety
/// Every method needs a machine that has the set's instructions.
pub(super) trait Lanes: Copy {
    /// Values of a register; divides 16.
    const COUNT: usize;

    unsafe fn splat(x: f32) -> Self;

    /// # Safety
    /// [`Lanes::COUNT`] values must be readable at `from`.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// [`Lanes::COUNT`] values must be writable at `to`.
    unsafe fn store(self, to: *mut f32);

    unsafe fn add(self, other: Self) -> Self;

    unsafe fn sub(self, other: Self) -> Self;

    /// `self + a * b`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

/// Have a cache line fetched that is read or written soon. A hint, so that any address will do.
#[inline(always)]
pub(super) fn fetch<T>(from: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every such processor has the instruction, which faults on no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(from.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// Registers that weights of type `W` can be widened to.
pub(super) trait Widen<W>: Lanes {
    /// # Safety
    /// [`Lanes::COUNT`] weights must be readable at `from`, and the machine must have the set's instructions.
    unsafe fn widen(from: *const W) -> Self;
}

/// Registers that can be rounded to bf16, to the nearest and of two as near to the even one; what is below the least normal number
/// becomes zero.
pub(super) trait RoundBf16: Lanes {
    /// # Safety
    /// [`Lanes::COUNT`] values must be writable at `to`.
    unsafe fn store_bf16(self, to: *mut bf16);

    /// The numbers of `even` and `odd` in turns.
    ///
    /// # Safety
    /// Twice [`Lanes::COUNT`] values must be writable at `to`.
    unsafe fn store_pairs(even: Self, odd: Self, to: *mut bf16);
}

/// What a transformed input is kept as.
pub(super) trait Kept<L: Lanes>: Copy {
    /// Values of a cache line.
    const LINE: usize;

    /// # Safety
    /// [`Lanes::COUNT`] values must be writable at `to`.
    unsafe fn store(value: L, to: *mut Self);
}

impl<L: Lanes> Kept<L> for f32 {
    const LINE: usize = LINE;

    #[inline(always)]
    unsafe fn store(value: L, to: *mut Self) {
        // SAFETY: by contract.
        unsafe { value.store(to) }
    }
}

impl<L: RoundBf16> Kept<L> for bf16 {
    const LINE: usize = PAIR_LINE;

    #[inline(always)]
    unsafe fn store(value: L, to: *mut Self) {
        // SAFETY: by contract.
        unsafe { value.store_bf16(to) }
    }
}

/// Registers that every kind of weight can be widened to.
pub(super) trait AllWeights: Widen<f32> + Widen<f16> + Widen<bf16> {}

impl<L: Widen<f32> + Widen<f16> + Widen<bf16>> AllWeights for L {}
