//! The numbers that a convolution in tiles multiplies, in f32 or in bf16.
//!
//! Invariant: whichever they are, sums are in f32, and their order of additions is fixed.

use half::bf16;

use crate::cpu::kernels::{
    Ahead, InputTile, Kernel, LINE, NR, PACKED_LINES, PAIR_LINE, PackedTile, PairKernel, PairTile, WeightBlock,
};

/// One group of tiles by one panel: rows of [`NR`] sums, next to each other.
#[derive(Clone, Copy)]
pub(super) struct GroupTile<T> {
    /// `[lines][line_stride]`.
    pub(super) values: *const T,
    pub(super) line_stride: usize,
    pub(super) lines: usize,
    pub(super) rows: usize,
    pub(super) panel: *const T,
    pub(super) out: *mut f32,
    pub(super) accumulate: bool,
    pub(super) ahead: Ahead<T>,
}

/// How they are made and multiplied.
pub(super) trait Arithmetic: Sync {
    type Value: Copy + Sync;
    /// Values of a line.
    const LINE: usize;
    /// Most lines that are multiplied at a time.
    const MOST_LINES: usize;

    /// # Safety
    /// As [`Kernel::transform_input`].
    unsafe fn transform_input(&self, tile: InputTile<'_, Self::Value>);

    /// # Safety
    /// As [`Kernel::transform_weights`].
    unsafe fn transform_weights(&self, block: WeightBlock<Self::Value>);

    /// # Safety
    /// As [`Kernel::multiply_packed`].
    unsafe fn multiply(&self, tile: GroupTile<Self::Value>);
}

pub(super) struct InF32(pub(super) &'static dyn Kernel);

impl Arithmetic for InF32 {
    type Value = f32;
    const LINE: usize = LINE;
    const MOST_LINES: usize = PACKED_LINES;

    unsafe fn transform_input(&self, tile: InputTile<'_, f32>) {
        // SAFETY: by contract.
        unsafe { self.0.transform_input(tile) }
    }

    unsafe fn transform_weights(&self, block: WeightBlock<f32>) {
        // SAFETY: by contract.
        unsafe { self.0.transform_weights(block) }
    }

    unsafe fn multiply(&self, tile: GroupTile<f32>) {
        let GroupTile { values, line_stride, lines, rows, panel, out, accumulate, .. } = tile;
        debug_assert!(lines <= PACKED_LINES, "a block of depth");
        // SAFETY: by contract.
        unsafe { self.0.multiply_packed(PackedTile { values, line_stride, lines, rows, panel, out, accumulate }) }
    }
}

pub(super) struct InBf16(pub(super) &'static dyn PairKernel);

impl Arithmetic for InBf16 {
    type Value = bf16;
    const LINE: usize = PAIR_LINE;
    const MOST_LINES: usize = 16;

    unsafe fn transform_input(&self, tile: InputTile<'_, bf16>) {
        // SAFETY: by contract.
        unsafe { self.0.transform_input(tile) }
    }

    unsafe fn transform_weights(&self, block: WeightBlock<bf16>) {
        // SAFETY: by contract.
        unsafe { self.0.transform_weights(block) }
    }

    unsafe fn multiply(&self, tile: GroupTile<bf16>) {
        let GroupTile { values, line_stride, lines, rows, panel, out, accumulate, ahead } = tile;
        let tile = PairTile { values, line_stride, lines, rows, panel, out, stride: NR, width: NR, accumulate, ahead };
        // SAFETY: by contract.
        unsafe { self.0.multiply(tile) }
    }
}
