//! AMX: products of bf16 in tiles of 16 rows by 16 outputs by 32 of depth. The transforms and the rounding are AVX512-BF16's.
//!
//! Invariants: the tiles' program is written once, over [`TileUnit`], which a test runs in plain Rust; it is used only on a machine
//! on which both gave the same numbers at the start. A pair's even products are summed apart from its odd ones within 32 of depth,
//! so that sums are rounded otherwise than AVX512-BF16's.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::sync::LazyLock;

use half::bf16;

use crate::cpu::kernels::avx512_bf16;
use crate::cpu::kernels::emulated_tiles::EmulatedTiles;
use crate::cpu::kernels::pairs::{Ahead, PairKernel, PairTile, RoundedRow};
use crate::cpu::kernels::sizes::{MR, NR, PAIR_LINE};
use crate::cpu::kernels::tile_program::{COLUMNS, PANEL_ROW, ROW, TileConfig, TileUnit, multiply};
use crate::cpu::kernels::tiles::{InputTile, WeightBlock};

/// The processor.
struct Processor;

impl TileUnit for Processor {
    unsafe fn configure(&mut self, config: &TileConfig) {
        // SAFETY: by contract.
        unsafe { asm!("ldtilecfg [{}]", in(reg) config, options(nostack, readonly)) }
    }

    unsafe fn zero_sums(&mut self) {
        // SAFETY: by contract.
        unsafe { asm!("tilezero tmm0", "tilezero tmm1", options(nostack, nomem)) }
    }

    unsafe fn load_sums(&mut self, from: *const f32, stride: usize) {
        // SAFETY: by contract.
        unsafe {
            asm!(
                "tileloadd tmm0, [{first} + {stride}*1]",
                "tileloadd tmm1, [{second} + {stride}*1]",
                first = in(reg) from,
                second = in(reg) from.wrapping_add(COLUMNS),
                stride = in(reg) stride,
                options(nostack, readonly),
            );
        }
    }

    unsafe fn store_sums(&mut self, to: *mut f32, stride: usize) {
        // SAFETY: by contract.
        unsafe {
            asm!(
                "tilestored [{first} + {stride}*1], tmm0",
                "tilestored [{second} + {stride}*1], tmm1",
                first = in(reg) to,
                second = in(reg) to.wrapping_add(COLUMNS),
                stride = in(reg) stride,
                options(nostack),
            );
        }
    }

    unsafe fn add_products(&mut self, values: *const bf16, weights: *const bf16) {
        // SAFETY: by contract.
        unsafe {
            asm!(
                "tileloadd tmm2, [{values} + {row}*1]",
                "tileloadd tmm3, [{first} + {panel_row}*1]",
                "tileloadd tmm4, [{second} + {panel_row}*1]",
                "tdpbf16ps tmm0, tmm2, tmm3",
                "tdpbf16ps tmm1, tmm2, tmm4",
                values = in(reg) values,
                first = in(reg) weights,
                second = in(reg) weights.wrapping_add(2 * COLUMNS),
                row = in(reg) usize::from(ROW),
                panel_row = in(reg) PANEL_ROW,
                options(nostack, readonly),
            );
        }
    }

    unsafe fn release(&mut self) {
        // SAFETY: by contract.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }
}

struct Amx(&'static dyn PairKernel);

/// The kernels, if this machine has the instructions, lets this process use them, and they compute what they should.
pub(super) fn detect() -> Option<&'static dyn PairKernel> {
    static FOUND: LazyLock<Option<Amx>> = LazyLock::new(|| {
        let rounding = avx512_bf16::detect()?;
        (has_tiles() && may_use_tiles() && computes_as_it_should()).then_some(Amx(rounding))
    });
    FOUND.as_ref().map(|amx| amx as &dyn PairKernel)
}

/// Whether the processor has tiles of bf16 and the system keeps their state.
fn has_tiles() -> bool {
    const STATE: u64 = 0b11 << 17;
    const TILES_AND_BF16: u32 = 1 << 24 | 1 << 22;
    #[target_feature(enable = "xsave")]
    unsafe fn kept_state() -> u64 {
        // SAFETY: by contract.
        unsafe { _xgetbv(0) }
    }
    let is_known = __cpuid(0).eax >= 7 && is_x86_feature_detected!("xsave");
    // SAFETY: where AVX-512 is detected, the system has enabled `xgetbv`.
    is_known && __cpuid_count(7, 0).edx & TILES_AND_BF16 == TILES_AND_BF16 && unsafe { kept_state() } & STATE == STATE
}

/// Ask the system for the large state of tiles, for all threads.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    const REQUEST_PERMISSION: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// Whether the processor gives for one tile what plain Rust does.
fn computes_as_it_should() -> bool {
    let number = |i: usize| bf16::from_f32(u16::try_from(i * 7919 % 1009).map_or(0.0, f32::from) / 500.0 - 1.0);
    let values: Vec<bf16> = (0..2 * MR * PAIR_LINE).map(number).collect();
    let panel: Vec<bf16> = (0..2 * PAIR_LINE * NR).map(|i| number(i + 3)).collect();
    let mut outs = [[0.25_f32; MR * NR]; 2];
    let [processor, emulated] = &mut outs;
    let mut tile = PairTile {
        values: values.as_ptr(),
        line_stride: MR * PAIR_LINE,
        lines: 2,
        rows: MR,
        panel: panel.as_ptr(),
        out: processor.as_mut_ptr(),
        stride: NR,
        width: NR,
        accumulate: true,
        ahead: Ahead::default(),
    };
    // SAFETY: the sizes are those of the vectors; the caller has found that the machine has tiles.
    unsafe {
        multiply(&mut Processor, tile);
        tile.out = emulated.as_mut_ptr();
        multiply(&mut EmulatedTiles::default(), tile);
    }
    processor.iter().zip(emulated.iter()).all(|(a, b)| a.to_bits() == b.to_bits())
}

// SAFETY: `Amx` is private and handed out by `detect` alone.
unsafe impl PairKernel for Amx {
    unsafe fn multiply(&self, tile: PairTile) {
        // SAFETY: the machine has tiles; the rest by contract.
        unsafe { multiply(&mut Processor, tile) }
    }

    unsafe fn round(&self, row: RoundedRow) {
        // SAFETY: by contract.
        unsafe { self.0.round(row) }
    }

    unsafe fn transform_input(&self, tile: InputTile<'_, bf16>) {
        // SAFETY: by contract.
        unsafe { self.0.transform_input(tile) }
    }

    unsafe fn transform_weights(&self, block: WeightBlock<bf16>) {
        // SAFETY: by contract.
        unsafe { self.0.transform_weights(block) }
    }
}
