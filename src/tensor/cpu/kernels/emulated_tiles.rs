//! AMX's tiles in plain Rust: what the processor must give, for its test at the start and for tests on machines without them.
//!
//! Invariant: bit for bit what the instructions are specified to do: products are rounded once into a sum of even and a sum of odd
//! ones of the tile's depth, whose total is added to the tile; numbers below the least normal one count as zero.

use half::bf16;

use crate::cpu::kernels::portable_bf16::{add_product, flush};
use crate::cpu::kernels::sizes::{NR, PAIR_LINE};
use crate::cpu::kernels::tile_program::{TileConfig, TileUnit};

/// Most rows of a tile.
const ROWS: usize = 16;

/// Both tiles of sums, side by side.
#[derive(Default)]
pub(super) struct EmulatedTiles {
    rows: usize,
    sums: [[f32; NR]; ROWS],
}

impl TileUnit for EmulatedTiles {
    unsafe fn configure(&mut self, config: &TileConfig) {
        *self = Self { rows: config.value_rows(), ..Self::default() };
    }

    unsafe fn zero_sums(&mut self) {
        self.sums = Default::default();
    }

    unsafe fn load_sums(&mut self, from: *const f32, stride: usize) {
        for (row, sums) in self.sums.iter_mut().enumerate().take(self.rows) {
            // SAFETY: by contract.
            unsafe { from.byte_add(row * stride).copy_to(sums.as_mut_ptr(), NR) }
        }
    }

    unsafe fn store_sums(&mut self, to: *mut f32, stride: usize) {
        for (row, sums) in self.sums.iter().enumerate().take(self.rows) {
            // SAFETY: by contract.
            unsafe { to.byte_add(row * stride).copy_from(sums.as_ptr(), NR) }
        }
    }

    unsafe fn add_products(&mut self, values: *const bf16, weights: *const bf16) {
        for (row, sums) in self.sums.iter_mut().enumerate().take(self.rows) {
            for (column, sum) in sums.iter_mut().enumerate() {
                let mut parts = [0.0_f32; 2];
                for k in 0..PAIR_LINE {
                    // SAFETY: by contract.
                    let (a, b) =
                        unsafe { (*values.add(row * PAIR_LINE + k), *weights.add((k / 2 * NR + column) * 2 + k % 2)) };
                    parts[k % 2] = add_product(parts[k % 2], a, b);
                }
                *sum = flush(flush(*sum) + flush(parts[0] + parts[1]));
            }
        }
    }

    unsafe fn release(&mut self) {}
}
