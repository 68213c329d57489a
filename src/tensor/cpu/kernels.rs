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
mod kernel;
mod lanes;
mod loops;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod sizes;
#[cfg(test)]
mod tests;
mod tiles;
mod winograd;

use strum::VariantArray as _;

use crate::instructions::InstructionSet;

pub(super) use kernel::{Kernel, PackedTile, Tile};
pub(super) use loops::Loop;
pub(super) use sizes::{LINE, MOST_PRODUCTS, MR, NR, PACKED_LINES};
pub(super) use tiles::{InputTile, OutputTile, TileSize, WeightBlock, WeightPointer};

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
