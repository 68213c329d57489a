//! The innermost kernels, one file an instruction set: a tile of up to [`MR`] rows by one panel of [`NR`] outputs.
//!
//! Invariant: an output element is `start + a[0] b[0] + a[1] b[1] + ...` in ascending order, one multiply-add each, whatever
//! the number of rows in the tile; so tiling never shows in the result. Every set but `portable` fuses multiply and add,
//! so all of those agree bit by bit.
//!
//! A new instruction set is a file with an implementation of [`Kernel`], a name in [`InstructionSet`] and a line in
//! [`detect`]; the tests below then run it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(test)]
mod tests;

use half::{bf16, f16};
use strum::VariantArray as _;

use crate::InstructionSet;

/// Rows in a full tile.
pub(super) const MR: usize = 12;
/// Outputs in one panel of weights: two AVX-512 registers of f32, four of AVX2, eight of NEON.
pub(super) const NR: usize = 32;

/// What one tile computes: for `taps * depth` products per element,
/// `out[r][j] (+)= sum over t, k of rows[t][r][k] * panel[t][k][j]`.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// Row pointers, `[taps][rows]`, each to at least `depth` readable values.
    pub(super) pointers: &'a [*const f32],
    pub(super) taps: usize,
    /// 1 to [`MR`].
    pub(super) rows: usize,
    pub(super) depth: usize,
    /// Outputs of this panel that exist, 1 to [`NR`].
    pub(super) width: usize,
    pub(super) out: *mut f32,
    /// Distance between rows of `out`.
    pub(super) stride: usize,
    /// Add to what `out` holds rather than to zero.
    pub(super) accumulate: bool,
}

/// The kernels of one instruction set, one method per precision of weights.
///
/// # Safety
/// An implementor
/// * exists only on a machine that has its instructions: its `detect` is the only place that hands it out;
/// * reads no more than `depth` values behind each of the `taps * rows` pointers, and `taps * depth * NR` weights;
/// * reads (if `accumulate`) and writes no other output than the first `width` of each of the `rows` rows;
/// * adds the products of an output in ascending order of tap and depth.
pub(super) unsafe trait Kernel: Send + Sync {
    /// The instructions that it is made of.
    fn instruction_set(&self) -> InstructionSet;

    /// A tile over f32 weights.
    ///
    /// # Safety
    /// `tile.pointers` must hold `taps * rows` pointers to `depth` readable values each, `panel` must point to
    /// `taps * depth * NR` weights, and `out` to `rows` rows of `width` writable values, `stride` apart, that nothing else
    /// reads or writes meanwhile. `rows` must be 1 to [`MR`] and `width` 1 to [`NR`].
    unsafe fn multiply_f32(&self, tile: Tile<'_>, panel: *const f32);

    /// A tile over f16 weights.
    ///
    /// # Safety
    /// As [`Kernel::multiply_f32`].
    unsafe fn multiply_f16(&self, tile: Tile<'_>, panel: *const f16);

    /// A tile over bf16 weights.
    ///
    /// # Safety
    /// As [`Kernel::multiply_f32`].
    unsafe fn multiply_bf16(&self, tile: Tile<'_>, panel: *const bf16);
}

/// The kernels of one instruction set; `None` if this machine lacks it.
pub(super) fn detect(instructions: InstructionSet) -> Option<&'static dyn Kernel> {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => avx512::detect(),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => avx2::detect(),
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon => neon::detect(),
        InstructionSet::Portable => Some(&portable::KERNEL),
        _ => None,
    }
}

/// The fastest kernels that this machine has.
pub(super) fn best() -> &'static dyn Kernel {
    InstructionSet::VARIANTS.iter().find_map(|set| detect(*set)).unwrap_or(&portable::KERNEL)
}

/// Whether this machine can run the kernels of an instruction set.
#[must_use]
pub fn has_instructions(instructions: InstructionSet) -> bool {
    detect(instructions).is_some()
}
