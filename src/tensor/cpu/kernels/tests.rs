//! Every kernel of every instruction set that this machine has, in every precision of weights, at every number of rows and
//! at odd widths: against plain sums in f64, and bit by bit against each other.

use half::{bf16, f16};

use super::*;
use crate::instructions::InstructionSet;

/// Sizes of a tile that are no multiples of anything.
const TAPS: usize = 3;
const DEPTH: usize = if cfg!(miri) { 5 } else { 41 };
/// Values between two rows of the output, more than a panel, so that writing too much is seen.
const STRIDE: usize = NR + 5;
const WIDTHS: &[usize] = if cfg!(miri) { &[1, 17, NR] } else { &[1, 7, 8, 9, 15, 16, 17, 31, NR] };
/// Distance between the numbers of rows that are tried: Miri is a thousand times slower.
const ROW_STEP: usize = if cfg!(miri) { MR - 1 } else { 1 };

/// The kernels that this machine has.
fn kernels() -> impl Iterator<Item = &'static dyn Kernel> {
    InstructionSet::VARIANTS.iter().filter_map(|set| detect(*set))
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn number(i: usize) -> f32 {
    ((i * 7919 + 13) % 1009) as f32 / 500.0 - 1.0
}

/// A precision that weights are kept in.
trait Weight: Copy {
    fn round(x: f32) -> Self;
    fn widen(self) -> f32;
    unsafe fn run(kernel: &dyn Kernel, tile: Tile<'_>, panel: *const Self);
}

impl Weight for f32 {
    fn round(x: f32) -> Self {
        x
    }
    fn widen(self) -> f32 {
        self
    }
    unsafe fn run(kernel: &dyn Kernel, tile: Tile<'_>, panel: *const Self) {
        // SAFETY: by contract.
        unsafe { kernel.multiply_f32(tile, panel) }
    }
}

impl Weight for f16 {
    fn round(x: f32) -> Self {
        f16::from_f32(x)
    }
    fn widen(self) -> f32 {
        self.to_f32()
    }
    unsafe fn run(kernel: &dyn Kernel, tile: Tile<'_>, panel: *const Self) {
        // SAFETY: by contract.
        unsafe { kernel.multiply_f16(tile, panel) }
    }
}

impl Weight for bf16 {
    fn round(x: f32) -> Self {
        bf16::from_f32(x)
    }
    fn widen(self) -> f32 {
        self.to_f32()
    }
    unsafe fn run(kernel: &dyn Kernel, tile: Tile<'_>, panel: *const Self) {
        // SAFETY: by contract.
        unsafe { kernel.multiply_bf16(tile, panel) }
    }
}

/// A tile of `rows` by `width` outputs over made-up numbers.
struct Case {
    rows: usize,
    width: usize,
    accumulate: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        (1..=MR).step_by(ROW_STEP).flat_map(|rows| {
            WIDTHS.iter().flat_map(move |&width| {
                [false, true].into_iter().map(move |accumulate| Self { rows, width, accumulate })
            })
        })
    }

    fn rows_of(&self) -> Vec<f32> {
        (0..TAPS * self.rows * DEPTH).map(number).collect()
    }

    fn panel<W: Weight>() -> Vec<W> {
        (0..TAPS * DEPTH * NR).map(|i| W::round(number(i + 5))).collect()
    }

    fn start(&self) -> Vec<f32> {
        (0..self.rows * STRIDE).map(number).collect()
    }

    fn run<W: Weight>(&self, kernel: &dyn Kernel) -> Vec<f32> {
        let (a, panel, mut out) = (self.rows_of(), Self::panel::<W>(), self.start());
        let pointers: Vec<*const f32> = a.chunks(DEPTH).map(<[f32]>::as_ptr).collect();
        let tile = Tile {
            pointers: &pointers,
            taps: TAPS,
            rows: self.rows,
            depth: DEPTH,
            width: self.width,
            out: out.as_mut_ptr(),
            stride: STRIDE,
            accumulate: self.accumulate,
        };
        // SAFETY: all sizes are those of the vectors above.
        unsafe { W::run(kernel, tile, panel.as_ptr()) };
        out
    }

    /// What each output is, in f64.
    fn expected<W: Weight>(&self) -> Vec<f64> {
        let (a, panel, start) = (self.rows_of(), Self::panel::<W>(), self.start());
        let output = |r: usize, j: usize| {
            let before = f64::from(start[r * STRIDE + j]);
            if j >= self.width {
                return before;
            }
            let products = (0..TAPS * DEPTH).map(|i| {
                let (tap, k) = (i / DEPTH, i % DEPTH);
                f64::from(a[(tap * self.rows + r) * DEPTH + k]) * f64::from(panel[i * NR + j].widen())
            });
            products.sum::<f64>() + if self.accumulate { before } else { 0.0 }
        };
        (0..self.rows).flat_map(|r| (0..STRIDE).map(move |j| (r, j))).map(|(r, j)| output(r, j)).collect()
    }
}

fn kernels_equal_plain_sums<W: Weight>() {
    for case in Case::all() {
        let want = case.expected::<W>();
        for kernel in kernels() {
            let set = kernel.instruction_set();
            for (at, (got, want)) in case.run::<W>(kernel).iter().zip(&want).enumerate() {
                let (row, column) = (at / STRIDE, at % STRIDE);
                // Sums are below 40, of 123 numbers below 1.
                assert!(
                    (f64::from(*got) - want).abs() < 1e-4,
                    "{set}, {} rows, {} outputs: row {row}, column {column} is {got}, not {want}",
                    case.rows,
                    case.width
                );
                assert!(column < case.width || got.to_bits() == number(at).to_bits(), "{set} wrote behind its outputs");
            }
        }
    }
}

fn fused_kernels_agree_bit_by_bit<W: Weight>() {
    let fused: Vec<_> = kernels().filter(|kernel| kernel.instruction_set() != InstructionSet::Portable).collect();
    for case in Case::all() {
        let mut results = fused.iter().map(|kernel| (kernel.instruction_set(), case.run::<W>(*kernel)));
        let Some((_, first)) = results.next() else { return };
        for (set, other) in results {
            let same = first.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{set} differs at {} rows and {} outputs", case.rows, case.width);
        }
    }
}

#[test]
fn f32_kernels_equal_plain_sums() {
    kernels_equal_plain_sums::<f32>();
}

#[test]
fn f16_kernels_equal_plain_sums() {
    kernels_equal_plain_sums::<f16>();
}

#[test]
fn bf16_kernels_equal_plain_sums() {
    kernels_equal_plain_sums::<bf16>();
}

#[test]
fn kernels_that_fuse_agree_bit_by_bit() {
    fused_kernels_agree_bit_by_bit::<f32>();
    fused_kernels_agree_bit_by_bit::<f16>();
    fused_kernels_agree_bit_by_bit::<bf16>();
}

#[test]
fn every_f16_and_bf16_is_widened_exactly() {
    // Each weight times one, alone, so that the output is the weight: subnormals, infinities and all.
    let ones = [1.0_f32];
    let pointers = [ones.as_ptr()];
    for kernel in kernels() {
        for first in (0..=u16::MAX).step_by(if cfg!(miri) { 8192 } else { NR }) {
            let bits: Vec<u16> = (0..NR).map(|i| first + u16::try_from(i).expect("below 32")).collect();
            let mut out = [0.0_f32; NR];
            let tile = Tile {
                pointers: &pointers,
                taps: 1,
                rows: 1,
                depth: 1,
                width: NR,
                out: out.as_mut_ptr(),
                stride: NR,
                accumulate: false,
            };
            let check = |out: &[f32], widen: fn(u16) -> f32| {
                for (got, bits) in out.iter().zip(&bits) {
                    // Minus zero, added to zero, is zero.
                    let want = widen(*bits) + 0.0;
                    let same = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
                    assert!(same, "{}: {bits:#06x} is {got}, not {want}", kernel.instruction_set());
                }
            };
            let halves: Vec<f16> = bits.iter().map(|bits| f16::from_bits(*bits)).collect();
            // SAFETY: one row of one value, NR weights, NR outputs.
            unsafe { kernel.multiply_f16(tile, halves.as_ptr()) };
            check(&out, |bits| f16::from_bits(bits).into());
            let brains: Vec<bf16> = bits.iter().map(|bits| bf16::from_bits(*bits)).collect();
            let tile = Tile { out: out.as_mut_ptr(), ..tile };
            // SAFETY: as above.
            unsafe { kernel.multiply_bf16(tile, brains.as_ptr()) };
            check(&out, |bits| bf16::from_bits(bits).into());
        }
    }
}

/// Any bits that are a number in bf16: normal ones of all sizes, subnormal ones and zeros.
fn any_bf16(i: usize) -> bf16 {
    let bits = u32::try_from(i).expect("small").wrapping_mul(2_654_435_761).rotate_left(13);
    let bits = u16::try_from(bits >> 16).expect("16 bits");
    match i % 7 {
        0 => bf16::from_bits(bits & 0x807f),
        // Near one, so that sums do not end at infinity.
        1..5 => bf16::from_bits(bits & 0x83ff | 0x3c00),
        _ => bf16::from_bits(bits & 0x9fff),
    }
}

#[test]
fn instructions_in_bf16_give_bit_for_bit_what_plain_rust_does() {
    let lines = 3;
    // Tiles add in another order.
    let exact = kernels().filter(|kernel| kernel.instruction_set() != InstructionSet::Amx);
    for kernel in exact.filter_map(Kernel::pairs) {
        for case in Case::all() {
            let values: Vec<bf16> = (0..lines * MR * PAIR_LINE).map(any_bf16).collect();
            let panel: Vec<bf16> = (0..lines * PAIR_LINE * NR).map(|i| any_bf16(i + 77)).collect();
            let run = |kernel: &dyn PairKernel| {
                let mut out = case.start();
                let tile = PairTile {
                    values: values.as_ptr(),
                    line_stride: MR * PAIR_LINE,
                    lines,
                    rows: case.rows,
                    panel: panel.as_ptr(),
                    out: out.as_mut_ptr(),
                    stride: STRIDE,
                    width: case.width,
                    accumulate: case.accumulate,
                    ahead: Ahead::default(),
                };
                // SAFETY: all sizes are those of the vectors above.
                unsafe { kernel.multiply(tile) };
                out
            };
            let (got, want) = (run(kernel), run(&portable_bf16::KERNEL));
            let same = got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{} rows, {} outputs: {got:?}, not {want:?}", case.rows, case.width);
        }
    }
}

#[test]
fn plain_rust_in_bf16_sums_products_of_pairs() {
    let (rows, lines) = (2, 2);
    let number = |i| bf16::from_f32(number(i));
    let values: Vec<bf16> = (0..lines * rows * PAIR_LINE).map(number).collect();
    let panel: Vec<bf16> = (0..lines * PAIR_LINE * NR).map(|i| number(i + 5)).collect();
    let mut out = vec![0.0; rows * NR];
    let tile = PairTile {
        values: values.as_ptr(),
        line_stride: rows * PAIR_LINE,
        lines,
        rows,
        panel: panel.as_ptr(),
        out: out.as_mut_ptr(),
        stride: NR,
        width: NR,
        accumulate: false,
        ahead: Ahead::default(),
    };
    // SAFETY: all sizes are those of the vectors above.
    unsafe { portable_bf16::KERNEL.multiply(tile) };
    for (at, got) in out.iter().enumerate() {
        let (row, column) = (at / NR, at % NR);
        let products = (0..lines * PAIR_LINE).map(|k| {
            let value = values[(k / PAIR_LINE * rows + row) * PAIR_LINE + k % PAIR_LINE];
            f64::from(value.to_f32()) * f64::from(panel[(k / 2 * NR + column) * 2 + k % 2].to_f32())
        });
        let want: f64 = products.sum();
        assert!((f64::from(*got) - want).abs() < 1e-4, "row {row}, column {column} is {got}, not {want}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_program_of_tiles_sums_products_in_their_order() {
    let (lines, stride) = (3, MR * PAIR_LINE);
    let number = |i| bf16::from_f32(number(i));
    let values: Vec<bf16> = (0..lines * stride).map(number).collect();
    let panel: Vec<bf16> = (0..lines * PAIR_LINE * NR).map(|i| number(i + 5)).collect();
    for case in Case::all() {
        let mut out = case.start();
        let tile = PairTile {
            values: values.as_ptr(),
            line_stride: stride,
            lines,
            rows: case.rows,
            panel: panel.as_ptr(),
            out: out.as_mut_ptr(),
            stride: STRIDE,
            width: case.width,
            accumulate: case.accumulate,
            ahead: Ahead::default(),
        };
        // SAFETY: all sizes are those of the vectors above.
        unsafe { tile_program::multiply(&mut emulated_tiles::EmulatedTiles::default(), tile) };
        for (at, (got, start)) in out.iter().zip(case.start()).enumerate() {
            let (row, column) = (at / STRIDE, at % STRIDE);
            let mut want = if case.accumulate || column >= case.width { start } else { 0.0 };
            for line in (0..lines).filter(|_| column < case.width) {
                let mut parts = [0.0_f32; 2];
                for k in 0..PAIR_LINE {
                    let a = values[line * stride + row * PAIR_LINE + k].to_f32();
                    let b = panel[(line * PAIR_LINE / 2 * NR + k / 2 * NR + column) * 2 + k % 2].to_f32();
                    parts[k % 2] = a.mul_add(b, parts[k % 2]);
                }
                want += parts[0] + parts[1];
            }
            assert!(got.to_bits() == want.to_bits(), "row {row}, column {column} is {got}, not {want}");
        }
    }
}

#[test]
fn numbers_are_rounded_to_bf16_alike() {
    // Ties, both ways, carries into the exponent, subnormal numbers, zeros and infinities.
    let bits =
        [0x3f80_8000_u32, 0x3f81_8000, 0x3fff_8000, 0x7f7f_ffff, 0x0000_0001, 0x807f_ffff, 0x8000_0000, 0x7f80_0000];
    let any = (0..50_u32).map(|i| i.wrapping_mul(2_654_435_761) & 0xbfff_ffff);
    let numbers: Vec<f32> = bits.into_iter().chain(any).map(f32::from_bits).collect();
    let want: Vec<bf16> = numbers.iter().map(|x| portable_bf16::round(*x)).collect();
    for kernel in kernels().filter_map(Kernel::pairs) {
        let mut out = vec![bf16::ONE; numbers.len().next_multiple_of(PAIR_LINE)];
        // SAFETY: `out` has whole lines for all numbers.
        unsafe {
            kernel.round(RoundedRow {
                from: numbers.as_ptr(),
                len: numbers.len(),
                factor: 1.0,
                to: out.as_mut_ptr(),
                line_stride: PAIR_LINE,
            });
        }
        for (at, got) in out.iter().enumerate() {
            let want = want.get(at).copied().unwrap_or_default();
            assert_eq!(got.to_bits(), want.to_bits(), "{:?}", numbers.get(at));
        }
    }
}

#[test]
fn the_best_kernels_are_the_first_that_the_machine_has() {
    let first = InstructionSet::VARIANTS.iter().copied().find(|set| has_instructions(*set));
    assert_eq!(Some(best().instruction_set()), first);
    assert!(has_instructions(InstructionSet::Portable));
    for &set in InstructionSet::VARIANTS {
        let detected = detect(set).map(<dyn Kernel>::instruction_set);
        assert_eq!(detected, has_instructions(set).then_some(set));
    }
}
