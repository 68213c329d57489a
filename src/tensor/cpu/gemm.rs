//! Matrix products over packed weights, with rows given by pointers: a convolution is the same product as a linear
//! layer, read through shifted pixels ("indirect" convolution, no im2col).
//!
//! Invariant: tasks write disjoint rectangles of the output; blocking over depth adds to the same chain in order.

use half::{bf16, f16};

use crate::activation::Activation;
use crate::cpu::buffers::SharedOutput;
use crate::cpu::gemm_bf16::PairProduct;
use crate::cpu::kernels::{Kernel, Loop, MR, NR, Tile};
use crate::cpu::operands::{Block, Rows};
use crate::cpu::packing::{Packed, Panels};
use crate::parallel;

/// Depth (over taps) that is handled at a time, so that a slice of a panel stays in the L2 cache.
const DEPTH_BLOCK: usize = 768;
/// Most rows of one task: their slice of a depth block fits the L2 cache, and a weight that was fetched serves them all.
const ROW_BLOCK: usize = 20 * MR;
/// Tasks per thread that are aimed at, so that threads end together, also if one wakes late.
const TASKS_PER_THREAD: usize = 4;
/// The same where a thread takes no time to wake beside what a task does: each of them rounds its rows anew.
const LARGE_TASKS_PER_THREAD: usize = 2;
/// Multiply-adds of a product whose tasks are large.
const LARGE: usize = 1 << 27;
/// Multiply-adds below which a product is not worth a second thread.
pub(super) const PARALLEL_FLOOR: usize = 200_000;

/// `out[rows, width] = rows x weights (+ bias) (+ residual)`, then the activation of it, if there is one.
pub(super) struct Product<'a> {
    pub(super) kernel: &'static dyn Kernel,
    pub(super) weights: &'a Packed,
    /// One value an output.
    pub(super) bias: Option<&'a [f32]>,
    /// `[rows, width]`.
    pub(super) residual: Option<&'a [f32]>,
    pub(super) activation: Option<Activation>,
}

impl Product<'_> {
    /// Compute it for `rows` rows of `source`.
    pub(super) fn run(&self, source: &impl Rows, rows: usize, out: &mut [f32]) {
        assert_eq!(out.len(), rows * self.weights.width, "output size");
        assert!(source.depth() >= self.weights.depth, "depth of the rows");
        if rows == 0 {
            return;
        }
        match &self.weights.panels {
            Panels::F32(panels) => self.run_blocked(rows, out, |block, out| self.multiply(source, panels, block, out)),
            Panels::F16(panels) => self.run_blocked(rows, out, |block, out| self.multiply(source, panels, block, out)),
            Panels::Bf16(panels) => self.run_blocked(rows, out, |block, out| self.multiply(source, panels, block, out)),
            Panels::Pairs(panels, kernel) => {
                let pairs = PairProduct { weights: self.weights, panels, kernel: *kernel };
                self.run_blocked(rows, out, |block, out| pairs.multiply(source, block, out));
            }
        }
    }

    fn run_blocked(&self, rows: usize, out: &mut [f32], multiply: impl Fn(&Block, SharedOutput<'_>) + Sync) {
        let packed = self.weights;
        let work = rows * packed.width * packed.taps * packed.depth;
        let threads = if work < PARALLEL_FLOOR { 1 } else { parallel::threads() };
        let wanted = match threads {
            1 => 1,
            _ if work < LARGE => TASKS_PER_THREAD * threads,
            _ => LARGE_TASKS_PER_THREAD * threads,
        };
        // Split the outputs first, and the rows further only where there are too few outputs.
        let least_row_blocks = wanted.div_ceil(packed.count());
        let row_block = ROW_BLOCK.min(rows.div_ceil(least_row_blocks).next_multiple_of(MR));
        // As many blocks for each thread, of about the same size.
        let row_blocks = rows.div_ceil(row_block);
        let row_blocks = if row_blocks > 1 { row_blocks.next_multiple_of(threads) } else { 1 };
        let row_block = rows.div_ceil(row_blocks).next_multiple_of(MR);
        let row_blocks = rows.div_ceil(row_block);
        let panel_block = packed.count().div_ceil(wanted.div_ceil(row_blocks).min(packed.count()));
        let column_blocks = packed.count().div_ceil(panel_block);
        let shared = SharedOutput::new(out);
        let task = |index: usize| {
            let (row_task, column_task) = (index / column_blocks, index % column_blocks);
            let block = Block {
                rows: row_task * row_block..((row_task + 1) * row_block).min(rows),
                panels: column_task * panel_block..((column_task + 1) * panel_block).min(packed.count()),
            };
            multiply(&block, shared);
            self.finish(&block, shared);
        };
        let tasks = row_blocks * column_blocks;
        if threads == 1 {
            (0..tasks).for_each(task);
        } else {
            parallel::for_each_task(tasks, task);
        }
    }

    fn multiply<W: Weight>(&self, source: &impl Rows, panels: &[W], block: &Block, out: SharedOutput<'_>) {
        let (taps, depth, width) = (self.weights.taps, self.weights.depth, self.weights.width);
        let panel_len = taps * depth * NR;
        let taps_at_once = (DEPTH_BLOCK / depth).clamp(1, taps);
        let tiles: Vec<(usize, usize)> =
            block.rows.clone().step_by(MR).map(|row| (row, MR.min(block.rows.end - row))).collect();
        let mut pointers = vec![std::ptr::null::<f32>(); tiles.len() * taps_at_once * MR];
        let mut tap = 0;
        while tap < taps {
            let tap_count = taps_at_once.min(taps - tap);
            let per_tile = tap_count * MR;
            for (&(row, count), pointers) in tiles.iter().zip(pointers.chunks_exact_mut(per_tile)) {
                for t in 0..tap_count {
                    for r in 0..count {
                        pointers[t * count + r] = source.pointer(row + r, tap + t);
                    }
                }
            }
            let mut start = 0;
            while start < depth {
                let len = if tap_count > 1 { depth } else { DEPTH_BLOCK.min(depth - start) };
                if start > 0 {
                    for pointer in &mut pointers {
                        *pointer = pointer.wrapping_add(DEPTH_BLOCK);
                    }
                }
                let offset = (tap * depth + start) * NR;
                for panel in block.panels.clone() {
                    let weights = &panels[panel * panel_len + offset..][..tap_count * len * NR];
                    for (&(row, count), pointers) in tiles.iter().zip(pointers.chunks_exact(per_tile)) {
                        // SAFETY: this task alone writes these rows of these panels; `Rows` gives at least `depth`
                        // values a row, of which `len` from `start` are read; `weights` has taps * len * NR elements.
                        unsafe {
                            let tile = Tile {
                                pointers: &pointers[..tap_count * count],
                                taps: tap_count,
                                rows: count,
                                depth: len,
                                width: NR.min(width - panel * NR),
                                out: out.at(row * width + panel * NR),
                                stride: width,
                                accumulate: tap + start > 0,
                            };
                            W::multiply(self.kernel, tile, weights.as_ptr());
                        }
                    }
                }
                start += len;
            }
            tap += tap_count;
        }
    }

    /// What follows the products of a rectangle.
    fn finish(&self, block: &Block, out: SharedOutput<'_>) {
        let activation = self.activation;
        if self.bias.is_none() && self.residual.is_none() && activation.is_none() {
            return;
        }
        let width = self.weights.width;
        let columns = block.panels.start * NR..(block.panels.end * NR).min(width);
        for row in block.rows.clone() {
            let start = row * width + columns.start;
            // SAFETY: this task alone writes these columns of this row.
            let line = unsafe { out.slice(start, columns.len()) };
            let bias = self.bias.map(|bias| &bias[columns.clone()]);
            let residual = self.residual.map(|residual| &residual[start..start + columns.len()]);
            self.kernel.run(Loop::Increase { x: line, bias, residual, activation });
        }
    }
}

/// A number that weights are kept as: picks the kernel's method for it.
trait Weight: Copy + Send + Sync {
    /// # Safety
    /// As [`Kernel::multiply_f32`].
    unsafe fn multiply(kernel: &dyn Kernel, tile: Tile<'_>, panel: *const Self);
}

impl Weight for f32 {
    #[inline]
    unsafe fn multiply(kernel: &dyn Kernel, tile: Tile<'_>, panel: *const Self) {
        // SAFETY: by contract.
        unsafe { kernel.multiply_f32(tile, panel) }
    }
}

impl Weight for f16 {
    #[inline]
    unsafe fn multiply(kernel: &dyn Kernel, tile: Tile<'_>, panel: *const Self) {
        // SAFETY: by contract.
        unsafe { kernel.multiply_f16(tile, panel) }
    }
}

impl Weight for bf16 {
    #[inline]
    unsafe fn multiply(kernel: &dyn Kernel, tile: Tile<'_>, panel: *const Self) {
        // SAFETY: by contract.
        unsafe { kernel.multiply_bf16(tile, panel) }
    }
}
