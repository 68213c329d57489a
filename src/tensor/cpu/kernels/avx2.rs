//! AVX2, FMA and F16C: blocks of up to six rows by half a panel, 12 of the 16 registers as accumulators.

use std::arch::x86_64::{
    __m256, _mm_loadu_si128, _mm256_add_ps, _mm256_castsi256_ps, _mm256_cvtepu16_epi32, _mm256_cvtph_ps,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_slli_epi32, _mm256_storeu_ps,
    _mm256_sub_ps,
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
const LANES: usize = 8;
/// Outputs of a block: half a panel.
const COLUMNS: usize = 2 * LANES;
/// Most rows of a block.
const ROWS: usize = 6;

struct Avx2;

/// The kernels, if this machine has the instructions.
pub(super) fn detect() -> Option<&'static dyn Kernel> {
    let available =
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
    available.then_some(&Avx2)
}

// SAFETY: `Avx2` is private and handed out by `detect` alone; the rest is shown in `block`.
unsafe impl Kernel for Avx2 {
    fn instruction_set(&self) -> InstructionSet {
        InstructionSet::Avx2
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

    transforms!(__m256, Fused, "avx2,fma,f16c");
}

impl Lanes for __m256 {
    const COUNT: usize = LANES;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: by contract.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: by contract.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: by contract.
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: by contract.
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: by contract.
        unsafe { _mm256_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: by contract.
        unsafe { _mm256_fmadd_ps(a, b, self) }
    }
}

impl Widen<f32> for __m256 {
    #[inline(always)]
    unsafe fn widen(from: *const f32) -> Self {
        // SAFETY: by contract.
        unsafe { _mm256_loadu_ps(from) }
    }
}

impl Widen<f16> for __m256 {
    #[inline(always)]
    unsafe fn widen(from: *const f16) -> Self {
        // SAFETY: by contract; f16 has the layout of its 16 bits.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }
}

impl Widen<bf16> for __m256 {
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> Self {
        // SAFETY: by contract; bf16 is the high half of an f32.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())))) }
    }
}

/// # Safety
/// As [`Kernel::multiply_f32`]; the machine must have AVX2, FMA and F16C.
unsafe fn multiply<W>(tile: Tile<'_>, panel: *const W)
where
    __m256: Widen<W>,
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
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn block<W, const ROWS: usize>(tile: &Tile<'_>, panel: *const W, first: usize, column: usize)
where
    __m256: Widen<W>,
{
    let width = COLUMNS.min(tile.width - column);
    let mut acc = [[_mm256_setzero_ps(); 2]; ROWS];
    if tile.accumulate {
        for (r, acc) in acc.iter_mut().enumerate() {
            let mut line = [0.0_f32; COLUMNS];
            // SAFETY: the `width` values from `column` of row `first + r` exist; `line` has two registers.
            unsafe {
                let out = tile.out.add((first + r) * tile.stride + column);
                std::ptr::copy_nonoverlapping(out, line.as_mut_ptr(), width);
                *acc = [_mm256_loadu_ps(line.as_ptr()), _mm256_loadu_ps(line.as_ptr().add(LANES))];
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
                let (b0, b1) = (__m256::widen(b), __m256::widen(b.add(LANES)));
                b = b.wrapping_add(NR);
                for r in 0..ROWS {
                    let x = _mm256_set1_ps(*a[r].add(k));
                    acc[r][0] = _mm256_fmadd_ps(x, b0, acc[r][0]);
                    acc[r][1] = _mm256_fmadd_ps(x, b1, acc[r][1]);
                }
            }
        }
    }
    for (r, acc) in acc.iter().enumerate() {
        let mut line = [0.0_f32; COLUMNS];
        // SAFETY: as for reading.
        unsafe {
            _mm256_storeu_ps(line.as_mut_ptr(), acc[0]);
            _mm256_storeu_ps(line.as_mut_ptr().add(LANES), acc[1]);
            let out = tile.out.add((first + r) * tile.stride + column);
            std::ptr::copy_nonoverlapping(line.as_ptr(), out, width);
        }
    }
}
