//! The program of AMX's tiles, over whatever executes it: the processor, or plain Rust in tests.
//!
//! Invariant: tiles are configured for exactly the rows that there are, so nothing behind them is read or written.

use half::bf16;

use crate::cpu::kernels::pairs::PairTile;
use crate::cpu::kernels::sizes::{MR, NR, PAIR_LINE};

/// Outputs of a tile of sums, half a panel.
pub(super) const COLUMNS: usize = 16;
/// Bytes of a row of a tile.
pub(super) const ROW: u16 = 64;
/// Bytes between two rows of weights: those of a panel.
pub(super) const PANEL_ROW: usize = NR * 2 * size_of::<bf16>();

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
pub(super) struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// The registers: two of sums, one of values, two of weights.
const SUMS: [usize; 2] = [0, 1];
const VALUES: usize = 2;
const WEIGHTS: [usize; 2] = [3, 4];

impl TileConfig {
    fn new(rows: usize) -> Self {
        let mut config = Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        for register in [SUMS[0], SUMS[1], VALUES, WEIGHTS[0], WEIGHTS[1]] {
            config.row_bytes[register] = ROW;
            let is_weights = WEIGHTS.contains(&register);
            config.rows[register] = u8::try_from(if is_weights { PAIR_LINE / 2 } else { rows }).unwrap_or(16);
        }
        config
    }

    /// Rows of values and sums.
    pub(super) fn value_rows(&self) -> usize {
        usize::from(self.rows[VALUES])
    }
}

/// What executes the instructions.
///
/// # Safety
/// Pointers must be to as many rows as configured, `stride` bytes apart, of two tiles next to each other for sums and weights.
pub(super) trait TileUnit {
    unsafe fn configure(&mut self, config: &TileConfig);
    unsafe fn zero_sums(&mut self);
    unsafe fn load_sums(&mut self, from: *const f32, stride: usize);
    unsafe fn store_sums(&mut self, to: *mut f32, stride: usize);
    /// Load values, [`ROW`] bytes apart, and weights, [`PANEL_ROW`] apart, and add their products to both tiles of sums.
    unsafe fn add_products(&mut self, values: *const bf16, weights: *const bf16);
    unsafe fn release(&mut self);
}

/// The program of a tile of [`PairKernel::multiply`].
///
/// # Safety
/// As there; the machine must have what `unit` executes.
pub(super) unsafe fn multiply(unit: &mut impl TileUnit, tile: PairTile) {
    let mut whole = [0.0_f32; MR * NR];
    let is_whole = tile.width == NR;
    let (sums, stride) = if is_whole { (tile.out, tile.stride) } else { (whole.as_mut_ptr(), NR) };
    // Between `out` and the panel that stands in for it.
    let each = |copy: &mut dyn FnMut(*mut f32, *mut f32)| {
        for (row, column) in (0..tile.rows).flat_map(|row| (0..tile.width).map(move |column| (row, column))) {
            copy(tile.out.wrapping_add(row * tile.stride + column), sums.wrapping_add(row * NR + column));
        }
    };
    // SAFETY: by contract; `whole` has MR rows of a panel.
    unsafe {
        if !is_whole && tile.accumulate {
            each(&mut |out, sum| *sum = *out);
        }
        unit.configure(&TileConfig::new(tile.rows));
        if tile.accumulate {
            unit.load_sums(sums, stride * size_of::<f32>());
        } else {
            unit.zero_sums();
        }
        for line in 0..tile.lines {
            let values = tile.values.add(line * tile.line_stride);
            unit.add_products(values, tile.panel.add(line * PAIR_LINE * NR));
        }
        unit.store_sums(sums, stride * size_of::<f32>());
        unit.release();
        if !is_whole {
            each(&mut |out, sum| *out = *sum);
        }
    }
}
