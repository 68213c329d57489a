//! The innermost kernels, one file an instruction set: a tile of up to [`MR`] rows by one panel of [`NR`] outputs.
//!
//! Invariant: an output element is `start + a[0] b[0] + a[1] b[1] + ...` in ascending order, one multiply-add each, whatever
//! the number of rows in the tile; so tiling never shows in the result. Every set but `portable` fuses multiply and add,
//! so all of those agree bit by bit.
//!
//! A new instruction set is a file with an implementation of [`Kernel`], a name in [`InstructionSet`] and a line in
//! [`detect`]; the tests below then run it.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
mod eight;
#[cfg(target_arch = "x86_64")]
mod emulated_tiles;
mod kernel;
mod lanes;
mod loops;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pairs;
mod portable;
mod portable_bf16;
mod sizes;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tile_program;
mod tiles;
mod winograd;

use strum::VariantArray as _;

use crate::instructions::InstructionSet;

pub(super) use kernel::{Kernel, PackedTile, Tile};
pub(super) use loops::{Columns, Loop};
pub(super) use pairs::{Ahead, PairKernel, PairTile, RoundedRow};
pub(super) use sizes::{LINE, MOST_PRODUCTS, MR, NR, PACKED_LINES, PAIR_LINE};
pub(super) use tiles::{InputTile, OutputTile, TileSize, WeightBlock, WeightPointer};

/// The kernels of one instruction set; `None` if this machine lacks it.
pub(super) fn detect(instructions: InstructionSet) -> Option<&'static dyn Kernel> {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Amx => avx512::detect_with_tiles(),
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

/// Operations a second of one thread on numbers in the cache, the best of some tries.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub(super) fn operations_a_second(kernel: &dyn Kernel) -> f64 {
    const TILES: usize = 2000;
    let (values, panel) = (vec![1.0_f32; PACKED_LINES * MR * LINE], vec![1.0_f32; PACKED_LINES * LINE * NR]);
    let mut out = vec![0.0_f32; MR * NR];
    let tile = PackedTile {
        values: values.as_ptr(),
        line_stride: MR * LINE,
        lines: PACKED_LINES,
        rows: MR,
        panel: panel.as_ptr(),
        out: out.as_mut_ptr(),
        accumulate: false,
    };
    let rate = || {
        let start = std::time::Instant::now();
        for _ in 0..TILES {
            // SAFETY: the vectors have the sizes that the tile says.
            unsafe { kernel.multiply_packed(tile) };
        }
        (2 * TILES * PACKED_LINES * LINE * MR * NR) as f64 / start.elapsed().as_secs_f64()
    };
    (0..10).map(|_| rate()).fold(0.0, f64::max)
}

/// Whether this machine can multiply in bf16 with the kernels of an instruction set.
#[must_use]
pub fn has_bf16_products(instructions: InstructionSet) -> bool {
    detect(instructions).is_some_and(|kernel| kernel.pairs().is_some())
}

/// Whether this machine can run the kernels of an instruction set.
#[must_use]
pub fn has_instructions(instructions: InstructionSet) -> bool {
    detect(instructions).is_some()
}
