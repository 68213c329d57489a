//! Products in bf16: both factors are rounded to 8 bits, pairs of products are added in f32.
//!
//! Invariant: an output is one chain of additions in ascending order of depth, whose numbers depend on the instructions alone:
//! `dot` of AVX512-BF16 adds the odd product of a pair and then the even one, with one rounding each; numbers below the least
//! normal one count as zero, as factors and as sums.

use half::bf16;

use crate::cpu::kernels::lanes::RoundBf16;
use crate::cpu::kernels::sizes::PAIR_LINE;
use crate::cpu::kernels::tiles::{InputTile, WeightBlock};

/// A tile of rows by one panel of outputs: for `lines * PAIR_LINE` products an element,
/// `out[r][j] (+)= sum over l, k of rows[l][r][k] * panel[l][k][j]`.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct PairTile {
    /// `[lines][line_stride]`: [`PAIR_LINE`] values of each row.
    pub(in crate::cpu) values: *const bf16,
    /// Distance between lines.
    pub(in crate::cpu) line_stride: usize,
    pub(in crate::cpu) lines: usize,
    /// 1 to [`MR`](crate::cpu::kernels::MR).
    pub(in crate::cpu) rows: usize,
    /// `[lines][PAIR_LINE / 2][NR][2]`: what AVX512-BF16 and AMX read alike.
    pub(in crate::cpu) panel: *const bf16,
    pub(in crate::cpu) out: *mut f32,
    /// Distance between rows of `out`.
    pub(in crate::cpu) stride: usize,
    /// Outputs of this panel that exist, 1 to [`NR`](crate::cpu::kernels::NR).
    pub(in crate::cpu) width: usize,
    /// Add to what `out` holds rather than to zero.
    pub(in crate::cpu) accumulate: bool,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "a hint that only x86-64's kernels give"))]
    pub(in crate::cpu) ahead: Ahead<bf16>,
}

/// What is probably read after a tile, to be fetched meanwhile: as long as the tile's own, but it need not be readable.
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "a hint that only x86-64's kernels give"))]
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Ahead<T> {
    pub(in crate::cpu) values: *const T,
    pub(in crate::cpu) panel: *const T,
}

/// Nothing.
impl<T> Default for Ahead<T> {
    fn default() -> Self {
        Self { values: std::ptr::null(), panel: std::ptr::null() }
    }
}

/// A row that is rounded to bf16, each value times `factor`: zeros after its last one, up to a whole line.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct RoundedRow {
    pub(in crate::cpu) from: *const f32,
    pub(in crate::cpu) len: usize,
    pub(in crate::cpu) factor: f32,
    pub(in crate::cpu) to: *mut bf16,
    /// Distance between lines of `to`.
    pub(in crate::cpu) line_stride: usize,
}

/// Products of pairs, for one set of instructions.
///
/// # Safety
/// An implementor exists only on a machine that has its instructions, and reads and writes no more than its methods say.
pub(in crate::cpu) unsafe trait PairKernel: Send + Sync {
    /// A tile.
    ///
    /// # Safety
    /// All lines of all rows and of the panel must be readable, and `out` must have `rows` rows of `width` writable values,
    /// `stride` apart, that nothing else reads or writes meanwhile.
    unsafe fn multiply(&self, tile: PairTile);

    /// Round a row.
    ///
    /// # Safety
    /// `len` values must be readable, and as many lines writable as they fill.
    unsafe fn round(&self, row: RoundedRow);

    /// As `Kernel::transform_input`, rounded, in lines of [`PAIR_LINE`].
    ///
    /// # Safety
    /// As `winograd::input`.
    unsafe fn transform_input(&self, tile: InputTile<'_, bf16>);

    /// As `Kernel::transform_weights`, rounded, in pairs.
    ///
    /// # Safety
    /// As `winograd::weight_pairs`.
    unsafe fn transform_weights(&self, block: WeightBlock<bf16>);
}

/// What [`PairKernel::round`] does, with the registers of an instruction set.
///
/// # Safety
/// As there; the machine must have the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn round<L: RoundBf16>(row: RoundedRow) {
    let (whole, rest) = (row.len / PAIR_LINE, row.len % PAIR_LINE);
    // SAFETY: by contract.
    unsafe {
        let factor = L::splat(row.factor);
        for line in 0..whole {
            round_line(row.from.add(line * PAIR_LINE), factor, row.to.add(line * row.line_stride));
        }
        if rest > 0 {
            let mut padded = [0.0_f32; PAIR_LINE];
            std::ptr::copy_nonoverlapping(row.from.add(whole * PAIR_LINE), padded.as_mut_ptr(), rest);
            round_line(padded.as_ptr(), factor, row.to.add(whole * row.line_stride));
        }
    }
}

/// # Safety
/// A line must be readable and writable; the machine must have the instructions of `L`.
#[inline(always)]
unsafe fn round_line<L: RoundBf16>(from: *const f32, factor: L, to: *mut bf16) {
    for lane in (0..PAIR_LINE).step_by(L::COUNT) {
        // SAFETY: by contract. The sum of a number and -0 is the number, also of 0.
        unsafe { L::splat(-0.0).add_product(L::load(from.add(lane)), factor).store_bf16(to.add(lane)) }
    }
}
