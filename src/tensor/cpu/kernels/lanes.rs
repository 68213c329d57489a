//! A register of f32, as far as code that is the same for every instruction set needs one.
//!
//! Invariant: [`Lanes::add_product`] rounds as the set's products of matrices do: once, but for `portable`.

use half::{bf16, f16};

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

/// Registers that weights of type `W` can be widened to.
pub(super) trait Widen<W>: Lanes {
    /// # Safety
    /// [`Lanes::COUNT`] weights must be readable at `from`, and the machine must have the set's instructions.
    unsafe fn widen(from: *const W) -> Self;
}

/// Registers that every kind of weight can be widened to.
pub(super) trait AllWeights: Widen<f32> + Widen<f16> + Widen<bf16> {}

impl<L: Widen<f32> + Widen<f16> + Widen<bf16>> AllWeights for L {}
