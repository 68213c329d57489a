//! Attention whose products are in bf16: queries, keys, values and the weights of values are rounded, scores and sums are f32.
//!
//! Invariant: as `attention`: a query row's result depends on its own sample alone.

use half::bf16;

use crate::attention::AttentionShape;
use crate::cpu::heads::{Heads, Queries, Sums, Tokens, pack_heads, padded};
use crate::cpu::kernels::{Ahead, MR, NR, PAIR_LINE, PairKernel, PairTile, RoundedRow};

/// Keys and values of every head in panels of pairs: keys as `[head_width / 2][NR keys][2]`, values as
/// `[keys / 2][NR columns][2]`, both with zeros up to whole lines.
pub(super) struct HeadsInBf16 {
    kernel: &'static dyn PairKernel,
    shape: AttentionShape,
    /// Per head: all key panels, then all value panels.
    panels: Vec<bf16>,
}

impl HeadsInBf16 {
    pub(super) fn new(
        kernel: &'static dyn PairKernel,
        shape: AttentionShape,
        key: Tokens<'_>,
        value: Tokens<'_>,
    ) -> Self {
        let AttentionShape { keys, head_width, .. } = shape;
        let mut packed = Self { kernel, shape, panels: Vec::new() };
        let (key_panel, value_panel, key_len) = (packed.key_panel(), packed.value_panel(), packed.key_len());
        packed.panels = pack_heads(&shape, (key, value), packed.head_len(), |key, value, out| {
            let (key_panels, value_panels) = out.split_at_mut(key_len);
            // What no key fills.
            if !keys.is_multiple_of(NR) {
                key_panels[key_len - key_panel..].fill(bf16::ZERO);
            }
            let pairs = keys.next_multiple_of(2) * NR;
            value_panels.chunks_exact_mut(value_panel).for_each(|panel| panel[pairs..].fill(bf16::ZERO));
            let mut rounded = vec![bf16::ZERO; 2 * head_width.next_multiple_of(PAIR_LINE)];
            let (even, odd) = rounded.split_at_mut(head_width.next_multiple_of(PAIR_LINE));
            for k in 0..keys {
                round_row(kernel, key.row(k), even);
                let panel = &mut key_panels[k / NR * key_panel..][..key_panel];
                let places = panel.chunks_exact_mut(2 * NR).map(|pairs| &mut pairs[2 * (k % NR)..][..2]);
                places.zip(even.chunks_exact(2)).for_each(|(place, pair)| place.copy_from_slice(pair));
            }
            for k in (0..keys).step_by(2) {
                round_row(kernel, value.row(k), even);
                if k + 1 < keys {
                    round_row(kernel, value.row(k + 1), odd);
                } else {
                    odd.fill(bf16::ZERO);
                }
                for (p, (even, odd)) in even.chunks(NR).zip(odd.chunks(NR)).enumerate() {
                    let pairs = value_panels[p * value_panel + k * NR..][..2 * NR].chunks_exact_mut(2);
                    pairs
                        .zip(even.iter().zip(odd))
                        .for_each(|(pair, (even, odd))| pair.copy_from_slice(&[*even, *odd]));
                }
            }
        });
        packed
    }

    /// Values of a panel of keys.
    fn key_panel(&self) -> usize {
        self.shape.head_width.next_multiple_of(PAIR_LINE) * NR
    }

    /// Values of a panel of values.
    fn value_panel(&self) -> usize {
        self.shape.keys.next_multiple_of(PAIR_LINE) * NR
    }

    fn key_len(&self) -> usize {
        self.shape.keys.div_ceil(NR) * self.key_panel()
    }

    fn head_len(&self) -> usize {
        self.key_len() + self.shape.head_width.div_ceil(NR) * self.value_panel()
    }

    fn of(&self, head: usize) -> (&[bf16], &[bf16]) {
        self.panels[head * self.head_len()..][..self.head_len()].split_at(self.key_len())
    }

    /// Round rows of `len` values, each times a factor, to lines of tiles: `[tile][line][MR][PAIR_LINE]`.
    fn round<'a>(&self, rows: usize, len: usize, row: impl Fn(usize) -> (&'a [f32], f32), working: &mut [f32]) {
        let tile = len.next_multiple_of(PAIR_LINE) * MR;
        assert!(rows.div_ceil(MR) * tile <= 2 * working.len(), "room for all rows");
        for r in 0..rows {
            let (from, factor) = row(r);
            let to = working.as_mut_ptr().cast::<bf16>().wrapping_add(r / MR * tile + r % MR * PAIR_LINE);
            // SAFETY: each row has `len` values, and `working` has room for the lines of all tiles.
            unsafe {
                let from = from[..len].as_ptr();
                self.kernel.round(RoundedRow { from, len, factor, to, line_stride: MR * PAIR_LINE });
            }
        }
    }
}

/// A row, rounded; zeros behind its last value up to a whole line.
fn round_row(kernel: &dyn PairKernel, from: &[f32], to: &mut [bf16]) {
    assert!(from.len() <= to.len() && to.len().is_multiple_of(PAIR_LINE), "room for whole lines");
    // SAFETY: `to` has whole lines for all values.
    unsafe {
        let (len, to) = (from.len(), to.as_mut_ptr());
        kernel.round(RoundedRow { from: from.as_ptr(), len, factor: 1.0, to, line_stride: PAIR_LINE });
    }
}

impl Heads for HeadsInBf16 {
    fn working_numbers(&self, rows: usize) -> usize {
        let longest = self.shape.head_width.max(self.shape.keys).next_multiple_of(PAIR_LINE);
        rows.next_multiple_of(MR) * longest / 2
    }

    fn score(&self, head: usize, queries: &Queries<'_>, scores: &mut [f32], working: &mut [f32]) {
        let (head_width, padded) = (self.shape.head_width, padded(&self.shape));
        let lines = head_width.div_ceil(PAIR_LINE);
        self.round(queries.rows, head_width, |row| (queries.row(row, head_width), 1.0), working);
        let rounded = working.as_ptr().cast::<bf16>();
        for (panel, keys) in self.of(head).0.chunks_exact(self.key_panel()).enumerate() {
            for (row, rows) in queries.tiles() {
                let out = scores[row * padded + panel * NR..][..(rows - 1) * padded + NR].as_mut_ptr();
                // SAFETY: `rows` rows of scores, `padded` apart; panels and rounded rows have `lines` lines.
                unsafe {
                    self.kernel.multiply(PairTile {
                        values: rounded.add(row * lines * PAIR_LINE),
                        line_stride: MR * PAIR_LINE,
                        lines,
                        rows,
                        panel: keys.as_ptr(),
                        out,
                        stride: padded,
                        width: NR,
                        accumulate: false,
                        ahead: Ahead {
                            values: rounded.wrapping_add((row + MR) * lines * PAIR_LINE),
                            panel: keys.as_ptr().wrapping_add(keys.len()),
                        },
                    });
                }
            }
        }
    }

    fn sum(&self, head: usize, scores: &mut [f32], factors: &[f32], working: &mut [f32], sums: &Sums<'_>) {
        let (head_width, keys, padded) = (self.shape.head_width, self.shape.keys, padded(&self.shape));
        let lines = keys.div_ceil(PAIR_LINE);
        self.round(sums.rows, keys, |row| (&scores[row * padded..], factors[row]), working);
        let rounded = working.as_ptr().cast::<bf16>();
        for (panel, values) in self.of(head).1.chunks_exact(self.value_panel()).enumerate() {
            for (row, rows) in sums.tiles() {
                // SAFETY: this task alone writes these rows of this head; panels and rounded rows have `lines` lines.
                unsafe {
                    self.kernel.multiply(PairTile {
                        values: rounded.add(row * lines * PAIR_LINE),
                        line_stride: MR * PAIR_LINE,
                        lines,
                        rows,
                        panel: values.as_ptr(),
                        out: sums.out.at(sums.at + row * sums.width + panel * NR),
                        stride: sums.width,
                        width: NR.min(head_width - panel * NR),
                        accumulate: false,
                        ahead: Ahead {
                            values: rounded.wrapping_add((row + MR) * lines * PAIR_LINE),
                            panel: values.as_ptr().wrapping_add(values.len()),
                        },
                    });
                }
            }
        }
    }
}
