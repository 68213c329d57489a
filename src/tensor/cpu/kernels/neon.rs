//! NEON of 64-bit ARM, which every such machine has: blocks of up to six rows by half a panel, 24 of the 32 registers as
//! accumulators.

use std::arch::aarch64::{
    float32x4_t, uint16x4_t, vaddq_f32, vdupq_n_f32, vfmaq_f32, vfmaq_n_f32, vld1_u16, vld1q_f32,
    vreinterpretq_f32_u32, vshll_n_u16, vst1q_f32, vsubq_f32,
};

use half::{bf16, f16};

use crate::cpu::kernels::kernel::{Kernel, Tile};
use crate::cpu::kernels::lanes::{Lanes, Widen};
use crate::cpu::kernels::loops::Loop;
use crate::cpu::kernels::math::Fused;
use crate::cpu::kernels::sizes::NR;
use crate::cpu::kernels::tiles::{InputTile, OutputTile, WeightBlock};
use crate::cpu::kernels::winograd::{self, transforms};
use crate::instructions::InstructionSet;

/// Values of a register.
const LANES: usize = 4;
/// Registers of a row of a block.
const REGISTERS: usize = 4;
/// Outputs of a block: half a panel.
const COLUMNS: usize = REGISTERS * LANES;
/// Most rows of a block.
const ROWS: usize = 6;

struct Neon;

/// The kernels.
pub(super) fn detect() -> Option<&'static dyn Kernel> {
    std::arch::is_aarch64_feature_detected!("neon").then_some(&Neon)
}

// SAFETY: `Neon` is private and handed out by `detect` alone; the rest is shown in `block`.
unsafe impl Kernel for Neon {
    fn instruction_set(&self) -> InstructionSet {
        InstructionSet::Neon
    }

    unsafe fn multiply_f32(&self, tile: Tile<'_>, panel: *const f32) {
        // SAFETY: the machine has the instructions; the rest by contract.
        unsafe { multiply(tile, panel) }
    }

    unsafe fn multiply_f16(&self, tile: Tile<'_>, panel: *const f16) {
        // SAFETY: as above.
        unsafe { multiply(tile, panel) }
    }

    unsafe fn multiply_bf16(&self, tile: Tile<'_>, panel: *const bf16) {
        // SAFETY: as above.
        unsafe { multiply(tile, panel) }
    }

    transforms!(float32x4_t, Fused, "neon");
}

impl Lanes for float32x4_t {
    const COUNT: usize = LANES;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: by contract.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: by contract.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: by contract.
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: by contract.
        unsafe { vaddq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: by contract.
        unsafe { vsubq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: by contract.
        unsafe { vfmaq_f32(self, a, b) }
    }
}

impl Widen<f32> for float32x4_t {
    #[inline(always)]
    unsafe fn widen(from: *const f32) -> Self {
        // SAFETY: by contract.
        unsafe { vld1q_f32(from) }
    }
}

impl Widen<f16> for float32x4_t {
    #[inline(always)]
    unsafe fn widen(from: *const f16) -> Self {
        // SAFETY: by contract; f16 has the layout of its 16 bits.
        unsafe { widen_f16(vld1_u16(from.cast())) }
    }
}

impl Widen<bf16> for float32x4_t {
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> Self {
        // SAFETY: by contract; bf16 is the high half of an f32.
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.cast()))) }
    }
}

/// Four f16 as f32. The conversion belongs to the base instructions; only its intrinsic is not stable.
#[inline(always)]
fn widen_f16(bits: uint16x4_t) -> float32x4_t {
    let wide: float32x4_t;
    // SAFETY: one instruction from register to register.
    unsafe {
        std::arch::asm!("fcvtl {wide:v}.4s, {bits:v}.4h", wide = lateout(vreg) wide, bits = in(vreg) bits,
            options(pure, nomem, nostack, preserves_flags));
    }
    wide
}

/// # Safety
/// As [`Kernel::multiply_f32`].
unsafe fn multiply<W>(tile: Tile<'_>, panel: *const W)
where
    float32x4_t: Widen<W>,
{
    for column in (0..tile.width).step_by(COLUMNS) {
        let mut first = 0;
        while first < tile.rows {
            let rows = ROWS.min(tile.rows - first);
            // SAFETY: by contract; `first + rows` is at most `tile.rows`, and `column` is below `tile.width`.
            unsafe {
                match rows {
                    6 => block::<W, 6>(&tile, panel, first, column),
                    5 => block::<W, 5>(&tile, panel, first, column),
                    4 => block::<W, 4>(&tile, panel, first, column),
                    3 => block::<W, 3>(&tile, panel, first, column),
                    2 => block::<W, 2>(&tile, panel, first, column),
                    _ => block::<W, 1>(&tile, panel, first, column),
                }
            }
            first += rows;
        }
    }
}

/// Rows `first..first + ROWS` and columns from `column` of a tile.
#[target_feature(enable = "neon")]
unsafe fn block<W, const ROWS: usize>(tile: &Tile<'_>, panel: *const W, first: usize, column: usize)
where
    float32x4_t: Widen<W>,
{
    let width = COLUMNS.min(tile.width - column);
    let mut acc = [[vdupq_n_f32(0.0); REGISTERS]; ROWS];
    if tile.accumulate {
        for (r, acc) in acc.iter_mut().enumerate() {
            let mut line = [0.0_f32; COLUMNS];
            // SAFETY: the `width` values from `column` of row `first + r` exist; `line` has all registers of a row.
            unsafe {
                let out = tile.out.add((first + r) * tile.stride + column);
                std::ptr::copy_nonoverlapping(out, line.as_mut_ptr(), width);
                for (i, acc) in acc.iter_mut().enumerate() {
                    *acc = vld1q_f32(line.as_ptr().add(i * LANES));
                }
            }
        }
    }
    let mut b = panel.wrapping_add(column);
    for tap in 0..tile.taps {
        let mut a = [std::ptr::null(); ROWS];
        a.copy_from_slice(&tile.pointers[tap * tile.rows + first..][..ROWS]);
        for k in 0..tile.depth {
            // SAFETY: `b` walks over half of each of taps * depth lines of NR weights, `a[r]` has `depth` values.
            unsafe {
                let weights = [
                    float32x4_t::widen(b),
                    float32x4_t::widen(b.add(LANES)),
                    float32x4_t::widen(b.add(2 * LANES)),
                    float32x4_t::widen(b.add(3 * LANES)),
                ];
                b = b.wrapping_add(NR);
                for r in 0..ROWS {
                    let x = *a[r].add(k);
                    for i in 0..REGISTERS {
                        acc[r][i] = vfmaq_n_f32(acc[r][i], weights[i], x);
                    }
                }
            }
        }
    }
    for (r, acc) in acc.iter().enumerate() {
        let mut line = [0.0_f32; COLUMNS];
        // SAFETY: as for reading.
        unsafe {
            for (i, acc) in acc.iter().enumerate() {
                vst1q_f32(line.as_mut_ptr().add(i * LANES), *acc);
            }
            let out = tile.out.add((first + r) * tile.stride + column);
            std::ptr::copy_nonoverlapping(line.as_ptr(), out, width);
        }
    }
}
