//! What AVX512-BF16 computes, in plain Rust: slow, for tests of that arithmetic on any machine and for comparison.
//!
//! Invariant: bit for bit what the instructions give.

use half::bf16;

use crate::cpu::kernels::eight::Eight;
use crate::cpu::kernels::lanes::{Lanes as _, RoundBf16};
use crate::cpu::kernels::pairs::{self, PairKernel, PairTile, RoundedRow};
use crate::cpu::kernels::sizes::{NR, PAIR_LINE};
use crate::cpu::kernels::tiles::{InputTile, WeightBlock};
use crate::cpu::kernels::winograd::{self, pair_transforms};

pub(super) struct PortableBf16;

/// The kernels.
pub(super) static KERNEL: PortableBf16 = PortableBf16;

// SAFETY: no special instructions; it reads and writes what a tile says.
unsafe impl PairKernel for PortableBf16 {
    unsafe fn multiply(&self, tile: PairTile) {
        for (row, column) in (0..tile.rows).flat_map(|row| (0..tile.width).map(move |column| (row, column))) {
            // SAFETY: by contract.
            unsafe {
                let out = tile.out.add(row * tile.stride + column);
                let mut sum = if tile.accumulate { *out } else { 0.0 };
                for pair in 0..tile.lines * PAIR_LINE / 2 {
                    let (line, at) = (pair / (PAIR_LINE / 2), pair % (PAIR_LINE / 2));
                    let values = tile.values.add(line * tile.line_stride + row * PAIR_LINE + 2 * at);
                    let weights = tile.panel.add((pair * NR + column) * 2);
                    sum = add_pair(sum, [*values, *values.add(1)], [*weights, *weights.add(1)]);
                }
                *out = sum;
            }
        }
    }

    pair_transforms!(Eight);
}

/// The sum of `sum` and two products, as the instruction `vdpbf16ps` adds them.
pub(super) fn add_pair(sum: f32, a: [bf16; 2], b: [bf16; 2]) -> f32 {
    add_product(add_product(sum, a[1], b[1]), a[0], b[0])
}

/// The sum of `sum` and a product, rounded once.
pub(super) fn add_product(sum: f32, a: bf16, b: bf16) -> f32 {
    flush(flush(a.to_f32()).mul_add(flush(b.to_f32()), flush(sum)))
}

/// Zero, of the same sign, for what is below the least normal number.
pub(super) fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0.0_f32.copysign(x) } else { x }
}

/// What the instruction `vcvtneps2bf16` rounds to.
pub(super) fn round(x: f32) -> bf16 {
    bf16::from_f32(flush(x))
}

impl RoundBf16 for Eight {
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16) {
        for i in 0..Self::COUNT {
            // SAFETY: by contract.
            unsafe { *to.add(i) = round(self.get(i)) }
        }
    }

    #[inline(always)]
    unsafe fn store_pairs(even: Self, odd: Self, to: *mut bf16) {
        for i in 0..Self::COUNT {
            // SAFETY: by contract.
            unsafe {
                *to.add(2 * i) = round(even.get(i));
                *to.add(2 * i + 1) = round(odd.get(i));
            }
        }
    }
}
