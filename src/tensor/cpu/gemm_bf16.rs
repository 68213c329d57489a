//! The tasks of a product in bf16: rows are rounded, tile by tile, and multiplied with panels of pairs.
//!
//! Invariant: as `gemm`: blocking over depth adds to the same chain in order, so neither it nor who rounds shows in the result.

use std::ops::Range;

use half::bf16;

use crate::cpu::buffers::SharedOutput;
use crate::cpu::kernels::{Ahead, MR, NR, PAIR_LINE, PairKernel, PairTile, RoundedRow};
use crate::cpu::operands::{Block, Rows};
use crate::cpu::packing::Packed;
use crate::cpu::scratch::Scratch;

/// Lines of depth that are handled at a time, so that a slice of a panel stays in the L2 cache.
const LINE_BLOCK: usize = 48;
/// Values of a tile of rows in a block of depth.
const TILE: usize = LINE_BLOCK * MR * PAIR_LINE;

/// A product over weights that are packed in pairs.
#[derive(Clone, Copy)]
pub(super) struct PairProduct<'a> {
    pub(super) weights: &'a Packed,
    pub(super) panels: &'a [bf16],
    pub(super) kernel: &'static dyn PairKernel,
}

impl PairProduct<'_> {
    /// Lines of all taps.
    fn lines(&self) -> usize {
        self.weights.taps * self.lines_of_tap()
    }

    fn lines_of_tap(&self) -> usize {
        self.weights.depth.div_ceil(PAIR_LINE)
    }

    /// The blocks of depth, as lines.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let lines = self.lines();
        (0..lines).step_by(LINE_BLOCK).map(move |first| first..(first + LINE_BLOCK).min(lines))
    }

    /// A rectangle whose rows this task alone reads: they are rounded for one block of depth after another.
    pub(super) fn multiply(&self, source: &impl Rows, block: &Block, out: SharedOutput<'_>) {
        Scratch::Task.with_bf16(block.rows.len().div_ceil(MR) * TILE, |rounded| {
            for lines in self.blocks() {
                for (tile, rounded) in rounded.chunks_exact_mut(TILE).enumerate() {
                    let first = block.rows.start + tile * MR;
                    self.round_tile(source, first..(first + MR).min(block.rows.end), &lines, rounded);
                }
                self.multiply_lines(&lines, rounded, block, out);
            }
        });
    }

    /// Round some lines of the rows of a tile: `[line][MR][PAIR_LINE]`.
    fn round_tile(&self, source: &impl Rows, rows: Range<usize>, lines: &Range<usize>, rounded: &mut [bf16]) {
        let (depth, of_tap) = (self.weights.depth, self.lines_of_tap());
        for (r, row) in rows.enumerate() {
            let mut line = lines.start;
            while line < lines.end {
                // What there is of this tap.
                let (tap, start) = (line / of_tap, line % of_tap * PAIR_LINE);
                let here = (of_tap - line % of_tap).min(lines.end - line);
                let from = source.pointer(row, tap).wrapping_add(start);
                let to = rounded[((line - lines.start) * MR + r) * PAIR_LINE..].as_mut_ptr();
                let len = (here * PAIR_LINE).min(depth - start);
                // SAFETY: a row has `depth` values a tap; `rounded` has these lines of MR rows.
                unsafe { self.kernel.round(RoundedRow { from, len, factor: 1.0, to, line_stride: MR * PAIR_LINE }) };
                line += here;
            }
        }
    }

    /// Multiply some lines of rounded rows with all panels of a rectangle.
    fn multiply_lines(&self, lines: &Range<usize>, rounded: &[bf16], block: &Block, out: SharedOutput<'_>) {
        let (all, width, count) = (self.lines(), self.weights.width, lines.len());
        for panel in block.panels.clone() {
            let at = (panel * all + lines.start) * PAIR_LINE * NR;
            let weights = &self.panels[at..at + count * PAIR_LINE * NR];
            for (tile, rounded) in rounded.chunks_exact(TILE).enumerate() {
                let row = block.rows.start + tile * MR;
                // SAFETY: this task alone writes these rows of these panels; `rounded` and `weights` have `count` lines.
                unsafe {
                    self.kernel.multiply(PairTile {
                        values: rounded.as_ptr(),
                        line_stride: MR * PAIR_LINE,
                        lines: count,
                        rows: MR.min(block.rows.end - row),
                        panel: weights.as_ptr(),
                        out: out.at(row * width + panel * NR),
                        stride: width,
                        width: NR.min(width - panel * NR),
                        accumulate: lines.start > 0,
                        // Of the last tile, the next panel's weights.
                        ahead: Ahead {
                            values: rounded.as_ptr().wrapping_add(TILE),
                            panel: weights.as_ptr().wrapping_add(all * PAIR_LINE * NR),
                        },
                    });
                }
            }
        }
    }
}
