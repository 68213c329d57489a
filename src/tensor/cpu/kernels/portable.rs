//! Plain loops for machines without kernels of their own; the compiler vectorises them as far as the target allows.
//!
//! A product is rounded before it is added, since a fused multiply-add without an instruction is a slow library call.

use half::{bf16, f16};

use crate::cpu::kernels::eight::Eight;
use crate::cpu::kernels::kernel::{Kernel, Tile};
use crate::cpu::kernels::loops::Loop;
use crate::cpu::kernels::math::Separate;
use crate::cpu::kernels::pairs::PairKernel;
use crate::cpu::kernels::portable_bf16;
use crate::cpu::kernels::sizes::NR;
use crate::cpu::kernels::tiles::{InputTile, OutputTile, WeightBlock};
use crate::cpu::kernels::winograd::{self, transforms};
use crate::instructions::InstructionSet;

/// Rows of a block.
const ROWS: usize = 3;

pub(super) struct Portable;

/// The kernels.
pub(super) static KERNEL: Portable = Portable;

// SAFETY: no special instructions; the rest is shown in `multiply`.
unsafe impl Kernel for Portable {
    fn instruction_set(&self) -> InstructionSet {
        InstructionSet::Portable
    }

    unsafe fn multiply_f32(&self, tile: Tile<'_>, panel: *const f32) {
        // SAFETY: by contract.
        unsafe { multiply(tile, panel, |x| x) }
    }

    unsafe fn multiply_f16(&self, tile: Tile<'_>, panel: *const f16) {
        // SAFETY: by contract.
        unsafe { multiply(tile, panel, f16::to_f32) }
    }

    unsafe fn multiply_bf16(&self, tile: Tile<'_>, panel: *const bf16) {
        // SAFETY: by contract.
        unsafe { multiply(tile, panel, bf16::to_f32) }
    }

    fn pairs(&self) -> Option<&'static dyn PairKernel> {
        Some(&portable_bf16::KERNEL)
    }

    transforms!(Eight, Separate);
}

/// # Safety
/// As [`Kernel::multiply_f32`].
#[expect(clippy::needless_range_loop, reason = "index loops over fixed arrays are what vectorises")]
unsafe fn multiply<W: Copy>(tile: Tile<'_>, panel: *const W, widen: impl Fn(W) -> f32) {
    let mut first = 0;
    while first < tile.rows {
        let rows = ROWS.min(tile.rows - first);
        let mut acc = [[0.0_f32; NR]; ROWS];
        for r in 0..rows {
            if tile.accumulate {
                for j in 0..tile.width {
                    // SAFETY: `width` values of row `first + r`.
                    acc[r][j] = unsafe { *tile.out.add((first + r) * tile.stride + j) };
                }
            }
        }
        let mut b = panel;
        for tap in 0..tile.taps {
            for k in 0..tile.depth {
                let mut weights = [0.0_f32; NR];
                for (j, weight) in weights.iter_mut().enumerate() {
                    // SAFETY: `b` walks over taps * depth * NR weights.
                    *weight = widen(unsafe { *b.add(j) });
                }
                for r in 0..rows {
                    // SAFETY: each row pointer has `depth` values.
                    let x = unsafe { *tile.pointers[tap * tile.rows + first + r].add(k) };
                    for j in 0..NR {
                        acc[r][j] += x * weights[j];
                    }
                }
                // SAFETY: as above; one past the end at the most.
                b = unsafe { b.add(NR) };
            }
        }
        for r in 0..rows {
            for j in 0..tile.width {
                // SAFETY: `width` values of row `first + r`.
                unsafe { *tile.out.add((first + r) * tile.stride + j) = acc[r][j] };
            }
        }
        first += rows;
    }
}
