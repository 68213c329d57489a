//! Minimal filtering (Winograd 1980; Lavin and Gray 2016): a 3x3 convolution of stride 1 in square tiles of outputs, by
//! transforms of the input, the weights and the products, which this file has for every instruction set.
//!
//! Invariant: a tile's numbers depend on its own pixels and on the weights alone, and their order of additions is fixed.
//!
//! F(m x m, 3x3) evaluates polynomials at `m + 1` points and infinity: 16 products for 4 outputs (m = 2), 36 for 16 (m = 4),
//! where nine products an output are plain. How much rounding the transforms add depends on the points: 0, ±1 for m = 2; for
//! m = 4, 0, ±5/8 and ±3/2 leave a third of the error of the usual 0, ±1, ±2, and all constants of the input's and the
//! output's transforms are exact in f32.

use std::mem::MaybeUninit;

use half::{bf16, f16};

use crate::cpu::kernels::lanes::{AllWeights, Kept, Lanes, RoundBf16, Widen, fetch};
use crate::cpu::kernels::sizes::{LINE, MOST_PRODUCTS, NR, PAIR_LINE};
use crate::cpu::kernels::tiles::{InputTile, OutputTile, TileSize, WeightBlock, WeightPointer};

/// How far ahead of a pixel's channels the next ones are fetched: too many pixels are read at once for a processor to see by itself
/// which follow.
const AHEAD: usize = 2 * LINE;
/// The same of a tap's lines of weights.
const LINES_AHEAD: usize = 8;

/// The one-dimensional transforms. Arrays are as long as those of the largest tile.
trait Filter {
    const OUTPUTS: usize;
    const INPUTS: usize = Self::OUTPUTS + 2;

    unsafe fn input<L: Lanes>(d: [L; 6]) -> [L; 6];
    unsafe fn weights<L: Lanes>(g: [L; 3]) -> [L; 6];
    unsafe fn output<L: Lanes>(m: [L; 6]) -> [L; 4];
}

struct F2;

impl Filter for F2 {
    const OUTPUTS: usize = 2;

    #[inline(always)]
    unsafe fn input<L: Lanes>(d: [L; 6]) -> [L; 6] {
        // SAFETY: by contract.
        unsafe { [d[0].sub(d[2]), d[1].add(d[2]), d[2].sub(d[1]), d[3].sub(d[1]), d[0], d[0]] }
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(g: [L; 3]) -> [L; 6] {
        // SAFETY: by contract.
        unsafe {
            let (zero, half) = (L::splat(0.0), L::splat(0.5));
            let even = zero.add_product(g[0].add(g[2]), half);
            [g[0], even.add_product(g[1], half), even.add_product(g[1], L::splat(-0.5)), g[2], g[0], g[0]]
        }
    }

    #[inline(always)]
    unsafe fn output<L: Lanes>(m: [L; 6]) -> [L; 4] {
        // SAFETY: by contract.
        unsafe {
            let y0 = m[0].add(m[1].add(m[2]));
            [y0, m[1].sub(m[2]).add(m[3]), y0, y0]
        }
    }
}

struct F4;

impl F4 {
    const A: f32 = 0.625;
    const B: f32 = 1.5;
    const A2: f32 = Self::A * Self::A;
    const B2: f32 = Self::B * Self::B;
    /// The divisors of Lagrange's polynomials at ±a and at ±b.
    const AT_A: f32 = 1.0 / (2.0 * Self::A2 * (Self::A2 - Self::B2));
    const AT_B: f32 = 1.0 / (2.0 * Self::B2 * (Self::B2 - Self::A2));
}

impl Filter for F4 {
    const OUTPUTS: usize = 4;

    #[inline(always)]
    unsafe fn input<L: Lanes>(d: [L; 6]) -> [L; 6] {
        // SAFETY: by contract.
        unsafe {
            let (sum, product) = (L::splat(-(Self::A2 + Self::B2)), L::splat(Self::A2 * Self::B2));
            let (minus_a2, minus_b2) = (L::splat(-Self::A2), L::splat(-Self::B2));
            // The even and the odd part of x (x ± a) (x^2 - b^2), and the same for b.
            let (even_a, odd_a) = (d[4].add_product(d[2], minus_b2), d[3].add_product(d[1], minus_b2));
            let (even_b, odd_b) = (d[4].add_product(d[2], minus_a2), d[3].add_product(d[1], minus_a2));
            [
                d[4].add_product(d[2], sum).add_product(d[0], product),
                even_a.add_product(odd_a, L::splat(Self::A)),
                even_a.add_product(odd_a, L::splat(-Self::A)),
                even_b.add_product(odd_b, L::splat(Self::B)),
                even_b.add_product(odd_b, L::splat(-Self::B)),
                d[5].add_product(d[3], sum).add_product(d[1], product),
            ]
        }
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(g: [L; 3]) -> [L; 6] {
        // SAFETY: by contract.
        unsafe {
            let zero = L::splat(0.0);
            let even = |at: f32, point: f32| {
                zero.add_product(g[0], L::splat(at)).add_product(g[2], L::splat(at * point * point))
            };
            let (even_a, even_b) = (even(Self::AT_A, Self::A), even(Self::AT_B, Self::B));
            [
                zero.add_product(g[0], L::splat(1.0 / (Self::A2 * Self::B2))),
                even_a.add_product(g[1], L::splat(Self::AT_A * Self::A)),
                even_a.add_product(g[1], L::splat(-Self::AT_A * Self::A)),
                even_b.add_product(g[1], L::splat(Self::AT_B * Self::B)),
                even_b.add_product(g[1], L::splat(-Self::AT_B * Self::B)),
                g[2],
            ]
        }
    }

    #[inline(always)]
    unsafe fn output<L: Lanes>(m: [L; 6]) -> [L; 4] {
        // SAFETY: by contract.
        unsafe {
            let (zero, a, b) = (L::splat(0.0), Self::A, Self::B);
            let (even_a, odd_a, even_b, odd_b) = (m[1].add(m[2]), m[1].sub(m[2]), m[3].add(m[4]), m[3].sub(m[4]));
            [
                m[0].add(even_a.add(even_b)),
                zero.add_product(odd_a, L::splat(a)).add_product(odd_b, L::splat(b)),
                zero.add_product(even_a, L::splat(a * a)).add_product(even_b, L::splat(b * b)),
                m[5].add_product(odd_a, L::splat(a * a * a)).add_product(odd_b, L::splat(b * b * b)),
            ]
        }
    }
}

/// Transform some channels of a tile of the input.
///
/// # Safety
/// Each pixel of the tile must have `channels` readable values; of every product, a cache line of values must be writable at
/// `line * line_stride`, for as many lines as `channels` fill; the machine must have the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn input<L: Lanes, T: Kept<L>>(tile: InputTile<'_, T>) {
    // SAFETY: by contract.
    unsafe {
        match tile.size {
            TileSize::Two => input_of::<L, F2, T>(tile),
            TileSize::Four => input_of::<L, F4, T>(tile),
        }
    }
}

#[inline(always)]
unsafe fn input_of<L: Lanes, F: Filter, T: Kept<L>>(tile: InputTile<'_, T>) {
    let side = F::INPUTS;
    let mut padded = MaybeUninit::<[f32; MOST_PRODUCTS * PAIR_LINE]>::uninit();
    let padded = padded.as_mut_ptr().cast::<f32>();
    let mut pixels = *tile.pixels;
    for (line, start) in (0..tile.channels).step_by(T::LINE).enumerate() {
        let mut start = start;
        let rest = tile.channels - start;
        if rest < T::LINE {
            for (i, pixel) in pixels.iter_mut().enumerate().take(side * side) {
                // SAFETY: `rest` values from `start` of the pixel; `padded` has a line for each.
                unsafe {
                    let line = padded.add(i * PAIR_LINE);
                    line.copy_from_nonoverlapping(pixel.add(start), rest);
                    line.add(rest).write_bytes(0, T::LINE - rest);
                    *pixel = line;
                }
            }
            start = 0;
        }
        for lane in (0..T::LINE).step_by(L::COUNT) {
            // SAFETY: by contract; the pixels have a line from `start`.
            unsafe {
                let zero = L::splat(0.0);
                let mut columns = [[zero; 6]; 6];
                for x in 0..side {
                    let mut d = [zero; 6];
                    for y in 0..side {
                        let from = pixels[y * side + x].add(start + lane);
                        fetch(from.wrapping_add(AHEAD));
                        d[y] = L::load(from);
                    }
                    let d = F::input(d);
                    for y in 0..side {
                        columns[y][x] = d[y];
                    }
                }
                let out = tile.out.add(line * tile.line_stride + lane);
                for (y, row) in columns.iter().enumerate().take(side) {
                    let row = F::input(*row);
                    for (x, value) in row.iter().enumerate().take(side) {
                        T::store(*value, out.add((y * side + x) * tile.product_stride));
                    }
                }
            }
        }
    }
}

/// Call `$run` for the tiles and the weights of a block.
macro_rules! for_weights {
    ($lanes:ty, $block:expr, $run:ident) => {
        match ($block.size, $block.weights) {
            (TileSize::Two, WeightPointer::F32(from)) => $run::<$lanes, F2, f32>($block, from),
            (TileSize::Two, WeightPointer::F16(from)) => $run::<$lanes, F2, f16>($block, from),
            (TileSize::Two, WeightPointer::Bf16(from)) => $run::<$lanes, F2, bf16>($block, from),
            (TileSize::Four, WeightPointer::F32(from)) => $run::<$lanes, F4, f32>($block, from),
            (TileSize::Four, WeightPointer::F16(from)) => $run::<$lanes, F4, f16>($block, from),
            (TileSize::Four, WeightPointer::Bf16(from)) => $run::<$lanes, F4, bf16>($block, from),
        }
    };
}

/// Transform some depth of a panel of weights.
///
/// # Safety
/// `weights` must point to nine taps of `depth` lines of [`NR`] weights; `depth * NR` values must be writable for every
/// product; the machine must have the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn weights<L: AllWeights>(block: WeightBlock<f32>) {
    // SAFETY: by contract.
    unsafe { for_weights!(L, block, weights_of) }
}

/// The same, rounded to bf16 in pairs.
///
/// # Safety
/// As [`weights`], with the depth rounded up to whole pairs.
#[inline(always)]
pub(super) unsafe fn weight_pairs<L: AllWeights + RoundBf16>(block: WeightBlock<bf16>) {
    // SAFETY: by contract.
    unsafe { for_weights!(L, block, weight_pairs_of) }
}

#[inline(always)]
unsafe fn weights_of<L: Widen<W>, F: Filter, W>(block: WeightBlock<f32>, from: *const W) {
    let side = F::INPUTS;
    for at in (0..block.depth * NR).step_by(L::COUNT) {
        // SAFETY: by contract.
        unsafe {
            let columns = filter_columns::<L, F, W>(from.add(at), block.tap_stride);
            for (y, row) in columns.into_iter().enumerate().take(side) {
                for (x, value) in F::weights(row).iter().enumerate().take(side) {
                    value.store(block.out.add((y * side + x) * block.product_stride + at));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn weight_pairs_of<L: Widen<W> + RoundBf16, F: Filter, W>(block: WeightBlock<bf16>, from: *const W) {
    let side = F::INPUTS;
    for depth in (0..block.depth).step_by(2) {
        for lane in (0..NR).step_by(L::COUNT) {
            // SAFETY: by contract.
            unsafe {
                let even = filter_columns::<L, F, W>(from.add(depth * NR + lane), block.tap_stride);
                let odd = if depth + 1 < block.depth {
                    filter_columns::<L, F, W>(from.add((depth + 1) * NR + lane), block.tap_stride)
                } else {
                    [[L::splat(0.0); 3]; 6]
                };
                let out = block.out.add(depth * NR + 2 * lane);
                for y in 0..side {
                    // A row at a time: two whole tiles are more than there are registers.
                    let (even, odd) = (F::weights(even[y]), F::weights(odd[y]));
                    for x in 0..side {
                        L::store_pairs(even[x], odd[x], out.add((y * side + x) * block.product_stride));
                    }
                }
            }
        }
    }
}

/// The weights of a register of outputs, whose columns are transformed; their rows are not yet.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "rows and columns of small matrices")]
unsafe fn filter_columns<L: Widen<W>, F: Filter, W>(from: *const W, tap_stride: usize) -> [[L; 3]; 6] {
    let side = F::INPUTS;
    // SAFETY: by contract.
    unsafe {
        let mut columns = [[L::splat(0.0); 3]; 6];
        for x in 0..3 {
            let mut g = [L::splat(0.0); 3];
            for y in 0..3 {
                let from = from.add((y * 3 + x) * tap_stride);
                fetch(from.wrapping_add(LINES_AHEAD * NR));
                g[y] = L::widen(from);
            }
            let g = F::weights(g);
            for y in 0..side {
                columns[y][x] = g[y];
            }
        }
        columns
    }
}

/// Transform the products of a tile to a panel of its outputs, with bias and residual.
///
/// # Safety
/// Of every product [`NR`] values must be readable; of the outputs (and of the residual, if there is one) `rows` times
/// `columns` pixels of `width` values must be writable (readable); the machine must have the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn output<L: Lanes>(tile: OutputTile<'_>) {
    // SAFETY: by contract.
    unsafe {
        match tile.size {
            TileSize::Two => output_of::<L, F2>(tile),
            TileSize::Four => output_of::<L, F4>(tile),
        }
    }
}

#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "rows and columns of small matrices")]
unsafe fn output_of<L: Lanes, F: Filter>(tile: OutputTile<'_>) {
    let mut narrow = MaybeUninit::<[f32; LINE * NR]>::uninit();
    let narrow = narrow.as_mut_ptr().cast::<f32>();
    let is_narrow = tile.width < NR;
    for lane in (0..tile.width).step_by(L::COUNT) {
        // SAFETY: by contract; a panel that is not full is made in `narrow`.
        unsafe {
            let zero = L::splat(0.0);
            let mut columns = [[zero; 6]; 4];
            // Those of the next tile of the row.
            for y in 0..tile.rows {
                for x in 0..tile.columns {
                    let at = y * tile.row_stride + (F::OUTPUTS + x) * tile.pixel_stride + lane;
                    fetch(tile.out.wrapping_add(at));
                    if !tile.residual.is_null() {
                        fetch(tile.residual.wrapping_add(at));
                    }
                }
            }
            for x in 0..F::INPUTS {
                let mut m = [zero; 6];
                for y in 0..F::INPUTS {
                    let from = tile.products.add((y * F::INPUTS + x) * tile.product_stride + lane);
                    fetch(from.wrapping_add(NR));
                    m[y] = L::load(from);
                }
                let m = F::output(m);
                for y in 0..F::OUTPUTS {
                    columns[y][x] = m[y];
                }
            }
            let bias = L::load(tile.bias.as_ptr().add(lane));
            for (y, row) in columns.iter().enumerate().take(tile.rows) {
                let row = F::output(*row);
                for (x, value) in row.iter().enumerate().take(tile.columns) {
                    let value = value.add(bias);
                    if is_narrow {
                        value.store(narrow.add((y * F::OUTPUTS + x) * NR + lane));
                        continue;
                    }
                    let at = y * tile.row_stride + x * tile.pixel_stride + lane;
                    let value = if tile.residual.is_null() { value } else { value.add(L::load(tile.residual.add(at))) };
                    value.store(tile.out.add(at));
                }
            }
        }
    }
    if is_narrow {
        for (y, x) in (0..tile.rows).flat_map(|y| (0..tile.columns).map(move |x| (y, x))) {
            for j in 0..tile.width {
                let at = y * tile.row_stride + x * tile.pixel_stride + j;
                // SAFETY: by contract.
                unsafe {
                    let added = if tile.residual.is_null() { 0.0 } else { *tile.residual.add(at) };
                    *tile.out.add(at) = *narrow.add((y * F::OUTPUTS + x) * NR + j) + added;
                }
            }
        }
    }
}

/// The transforms and loops of a [`Kernel`] on registers `$lanes`, with products added as `$sums` does and the instructions
/// `$features`.
macro_rules! transforms {
    ($lanes:ty, $sums:ty $(, $features:literal)?) => {
        unsafe fn transform_input(&self, tile: InputTile<'_, f32>) {
            $(#[target_feature(enable = $features)])?
            unsafe fn run(tile: InputTile<'_, f32>) {
                // SAFETY: by contract.
                unsafe { winograd::input::<$lanes, f32>(tile) }
            }
            // SAFETY: the machine has the instructions; the rest by contract.
            unsafe { run(tile) }
        }

        unsafe fn transform_weights(&self, block: WeightBlock<f32>) {
            $(#[target_feature(enable = $features)])?
            unsafe fn run(block: WeightBlock<f32>) {
                // SAFETY: by contract.
                unsafe { winograd::weights::<$lanes>(block) }
            }
            // SAFETY: the machine has the instructions; the rest by contract.
            unsafe { run(block) }
        }

        unsafe fn transform_output(&self, tile: OutputTile<'_>) {
            $(#[target_feature(enable = $features)])?
            unsafe fn run(tile: OutputTile<'_>) {
                // SAFETY: by contract.
                unsafe { winograd::output::<$lanes>(tile) }
            }
            // SAFETY: the machine has the instructions; the rest by contract.
            unsafe { run(tile) }
        }

        fn run(&self, task: Loop<'_>) {
            $(#[target_feature(enable = $features)])?
            unsafe fn run(task: Loop<'_>) {
                task.run::<$sums>();
            }
            // SAFETY: the machine has the instructions.
            unsafe { run(task) }
        }
    };
}
pub(super) use transforms;

/// The transforms of a [`PairKernel`](crate::cpu::kernels::PairKernel), likewise.
macro_rules! pair_transforms {
    ($lanes:ty $(, $features:literal)?) => {
        unsafe fn transform_input(&self, tile: InputTile<'_, bf16>) {
            $(#[target_feature(enable = $features)])?
            unsafe fn run(tile: InputTile<'_, bf16>) {
                // SAFETY: by contract.
                unsafe { winograd::input::<$lanes, bf16>(tile) }
            }
            // SAFETY: the machine has the instructions; the rest by contract.
            unsafe { run(tile) }
        }

        unsafe fn transform_weights(&self, block: WeightBlock<bf16>) {
            $(#[target_feature(enable = $features)])?
            unsafe fn run(block: WeightBlock<bf16>) {
                // SAFETY: by contract.
                unsafe { winograd::weight_pairs::<$lanes>(block) }
            }
            // SAFETY: the machine has the instructions; the rest by contract.
            unsafe { run(block) }
        }

        unsafe fn round(&self, rows: RoundedRow) {
            $(#[target_feature(enable = $features)])?
            unsafe fn run(row: RoundedRow) {
                // SAFETY: by contract.
                unsafe { pairs::round::<$lanes>(row) }
            }
            // SAFETY: the machine has the instructions; the rest by contract.
            unsafe { run(rows) }
        }
    };
}
pub(super) use pair_transforms;
