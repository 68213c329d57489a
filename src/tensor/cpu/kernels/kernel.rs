//! What kernels of every instruction set compute: one tile.
//!
//! Invariant: the order of additions is part of the contract, so that kernels and tilings can be exchanged.

use half::{bf16, f16};

use crate::cpu::kernels::loops::Loop;
use crate::cpu::kernels::pairs::PairKernel;
use crate::cpu::kernels::sizes::{LINE, MR, NR, PACKED_LINES};
use crate::cpu::kernels::tiles::{InputTile, OutputTile, WeightBlock};
use crate::instructions::InstructionSet;

/// What one tile computes: for `taps * depth` products per element,
/// `out[r][j] (+)= sum over t, k of rows[t][r][k] * panel[t][k][j]`.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Tile<'a> {
    /// Row pointers, `[taps][rows]`, each to at least `depth` readable values.
    pub(in crate::cpu) pointers: &'a [*const f32],
    pub(in crate::cpu) taps: usize,
    /// 1 to [`MR`].
    pub(in crate::cpu) rows: usize,
    pub(in crate::cpu) depth: usize,
    /// Outputs of this panel that exist, 1 to [`NR`].
    pub(in crate::cpu) width: usize,
    pub(in crate::cpu) out: *mut f32,
    /// Distance between rows of `out`.
    pub(in crate::cpu) stride: usize,
    /// Add to what `out` holds rather than to zero.
    pub(in crate::cpu) accumulate: bool,
}

/// A tile whose rows are packed: for `lines * LINE` products per element,
/// `out[r][j] (+)= sum over l, k of rows[l][r][k] * panel[l][k][j]`.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct PackedTile {
    /// `[lines][row_stride]`: [`LINE`] values of each row.
    pub(in crate::cpu) values: *const f32,
    /// Distance between lines.
    pub(in crate::cpu) line_stride: usize,
    /// 1 to [`PACKED_LINES`].
    pub(in crate::cpu) lines: usize,
    /// 1 to [`MR`].
    pub(in crate::cpu) rows: usize,
    pub(in crate::cpu) panel: *const f32,
    /// Rows of [`NR`] values, next to each other.
    pub(in crate::cpu) out: *mut f32,
    /// Add to what `out` holds rather than to zero.
    pub(in crate::cpu) accumulate: bool,
}

/// The kernels of one instruction set, one method per precision of weights.
///
/// # Safety
/// An implementor
/// * exists only on a machine that has its instructions: its `detect` is the only place that hands it out;
/// * reads no more than `depth` values behind each of the `taps * rows` pointers, and `taps * depth * NR` weights;
/// * reads (if `accumulate`) and writes no other output than the first `width` of each of the `rows` rows;
/// * adds the products of an output in ascending order of tap and depth.
pub(in crate::cpu) unsafe trait Kernel: Send + Sync {
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

    /// A tile of packed rows over f32 weights, added in ascending order of line and depth.
    ///
    /// # Safety
    /// All lines of all rows must be readable, `panel` must point to `lines * LINE * NR` values, and `out` to `rows * NR`
    /// writable values that nothing else reads or writes meanwhile.
    unsafe fn multiply_packed(&self, tile: PackedTile) {
        let mut pointers = [std::ptr::null::<f32>(); MR * PACKED_LINES];
        for line in 0..tile.lines {
            for row in 0..tile.rows {
                pointers[line * tile.rows + row] = tile.values.wrapping_add(line * tile.line_stride + row * LINE);
            }
        }
        let plain = Tile {
            pointers: &pointers[..tile.lines * tile.rows],
            taps: tile.lines,
            rows: tile.rows,
            depth: LINE,
            width: NR,
            out: tile.out,
            stride: NR,
            accumulate: tile.accumulate,
        };
        // SAFETY: by contract.
        unsafe { self.multiply_f32(plain, tile.panel) }
    }

    /// Some channels of a tile of the input of a convolution, transformed.
    ///
    /// # Safety
    /// As `winograd::input`.
    unsafe fn transform_input(&self, tile: InputTile<'_, f32>);

    /// Some depth of a panel of weights of a convolution, transformed.
    ///
    /// # Safety
    /// As `winograd::weights`.
    unsafe fn transform_weights(&self, block: WeightBlock<f32>);

    /// A panel of the outputs of a tile of a convolution.
    ///
    /// # Safety
    /// As `winograd::output`.
    unsafe fn transform_output(&self, tile: OutputTile<'_>);

    /// Products of pairs of bf16 with the same instructions; none if this machine has no such.
    fn pairs(&self) -> Option<&'static dyn PairKernel> {
        None
    }

    /// A loop over slices.
    fn run(&self, task: Loop<'_>);
}
