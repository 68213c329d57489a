//! AVX-512F and F16C: a panel is two registers, a full tile 24 accumulators; columns that do not exist are masked.

use std::arch::x86_64::{
    __m512, __mmask16, _mm256_loadu_si256, _mm512_add_ps, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_cvtph_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_slli_epi32, _mm512_storeu_ps, _mm512_sub_ps,
};

use half::{bf16, f16};

use crate::cpu::kernels::kernel::{Kernel, PackedTile, Tile};
use crate::cpu::kernels::lanes::{Lanes, Widen};
use crate::cpu::kernels::loops::Loop;
use crate::cpu::kernels::math::Fused;
use crate::cpu::kernels::pairs::PairKernel;
use crate::cpu::kernels::sizes::{LINE, NR};
use crate::cpu::kernels::tiles::{InputTile, OutputTile, WeightBlock};
use crate::cpu::kernels::winograd::{self, transforms};
use crate::cpu::kernels::{amx, avx512_bf16};
use crate::instructions::InstructionSet;

/// Values of a register.
const LANES: usize = 16;

struct Avx512 {
    /// Products in bf16 by AMX's tiles.
    has_tiles: bool,
}

/// The kernels, if this machine has the instructions.
pub(super) fn detect() -> Option<&'static dyn Kernel> {
    let available = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("f16c");
    available.then_some(&Avx512 { has_tiles: false })
}

/// The same with AMX's products in bf16, if this machine has those.
pub(super) fn detect_with_tiles() -> Option<&'static dyn Kernel> {
    (detect().is_some() && amx::detect().is_some()).then_some(&Avx512 { has_tiles: true })
}

// SAFETY: `Avx512` is private and handed out by both `detect` alone; the rest is shown in `tile`.
unsafe impl Kernel for Avx512 {
    fn instruction_set(&self) -> InstructionSet {
        if self.has_tiles { InstructionSet::Amx } else { InstructionSet::Avx512 }
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

    unsafe fn multiply_packed(&self, tile: PackedTile) {
        // SAFETY: as above.
        unsafe {
            match tile.rows {
                12 => packed::<12>(tile),
                11 => packed::<11>(tile),
                10 => packed::<10>(tile),
                9 => packed::<9>(tile),
                8 => packed::<8>(tile),
                7 => packed::<7>(tile),
                6 => packed::<6>(tile),
                5 => packed::<5>(tile),
                4 => packed::<4>(tile),
                3 => packed::<3>(tile),
                2 => packed::<2>(tile),
                _ => packed::<1>(tile),
            }
        }
    }

    fn pairs(&self) -> Option<&'static dyn PairKernel> {
        if self.has_tiles { amx::detect() } else { avx512_bf16::detect() }
    }

    transforms!(__m512, Fused, "avx512f,f16c");
}

impl Lanes for __m512 {
    const COUNT: usize = LANES;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: by contract.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: by contract.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: by contract.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: by contract.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: by contract.
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: by contract.
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }
}

impl Widen<f32> for __m512 {
    #[inline(always)]
    unsafe fn widen(from: *const f32) -> Self {
        // SAFETY: by contract.
        unsafe { _mm512_loadu_ps(from) }
    }
}

impl Widen<f16> for __m512 {
    #[inline(always)]
    unsafe fn widen(from: *const f16) -> Self {
        // SAFETY: by contract; f16 has the layout of its 16 bits.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
}

impl Widen<bf16> for __m512 {
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> Self {
        // SAFETY: by contract; bf16 is the high half of an f32.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())))) }
    }
}

/// # Safety
/// As [`Kernel::multiply_f32`]; the machine must have AVX-512F and F16C.
unsafe fn multiply<W>(tile_of: Tile<'_>, panel: *const W)
where
    __m512: Widen<W>,
{
    // SAFETY: by contract.
    unsafe {
        match tile_of.rows {
            12 => tile::<W, 12>(tile_of, panel),
            11 => tile::<W, 11>(tile_of, panel),
            10 => tile::<W, 10>(tile_of, panel),
            9 => tile::<W, 9>(tile_of, panel),
            8 => tile::<W, 8>(tile_of, panel),
            7 => tile::<W, 7>(tile_of, panel),
            6 => tile::<W, 6>(tile_of, panel),
            5 => tile::<W, 5>(tile_of, panel),
            4 => tile::<W, 4>(tile_of, panel),
            3 => tile::<W, 3>(tile_of, panel),
            2 => tile::<W, 2>(tile_of, panel),
            _ => tile::<W, 1>(tile_of, panel),
        }
    }
}

#[target_feature(enable = "avx512f,f16c")]
unsafe fn tile<W, const ROWS: usize>(tile: Tile<'_>, panel: *const W)
where
    __m512: Widen<W>,
{
    let mask = |width: usize| -> __mmask16 { if width >= LANES { !0 } else { (1 << width) - 1 } };
    let (mask0, mask1) = (mask(tile.width), mask(tile.width.saturating_sub(LANES)));
    let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
    if tile.accumulate {
        for (r, acc) in acc.iter_mut().enumerate() {
            // SAFETY: masked to the `width` values of row `r`.
            unsafe {
                let out = tile.out.add(r * tile.stride);
                acc[0] = _mm512_maskz_loadu_ps(mask0, out);
                acc[1] = _mm512_maskz_loadu_ps(mask1, out.wrapping_add(LANES));
            }
        }
    }
    let mut b = panel;
    for tap in 0..tile.taps {
        let mut a = [std::ptr::null(); ROWS];
        a.copy_from_slice(&tile.pointers[tap * ROWS..(tap + 1) * ROWS]);
        for k in 0..tile.depth {
            // SAFETY: `b` walks over taps * depth * NR weights, `a[r]` has `depth` values.
            unsafe {
                let (b0, b1) = (__m512::widen(b), __m512::widen(b.add(LANES)));
                b = b.add(NR);
                for r in 0..ROWS {
                    let x = _mm512_set1_ps(*a[r].add(k));
                    acc[r][0] = _mm512_fmadd_ps(x, b0, acc[r][0]);
                    acc[r][1] = _mm512_fmadd_ps(x, b1, acc[r][1]);
                }
            }
        }
    }
    for (r, acc) in acc.iter().enumerate() {
        // SAFETY: masked to the `width` values of row `r`.
        unsafe {
            let out = tile.out.add(r * tile.stride);
            _mm512_mask_storeu_ps(out, mask0, acc[0]);
            _mm512_mask_storeu_ps(out.wrapping_add(LANES), mask1, acc[1]);
        }
    }
}

/// # Safety
/// As [`Kernel::multiply_packed`]; the machine must have AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn packed<const ROWS: usize>(tile: PackedTile) {
    let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
    if tile.accumulate {
        for (r, acc) in acc.iter_mut().enumerate() {
            // SAFETY: `out` has ROWS rows of two registers.
            unsafe {
                let out = tile.out.add(r * NR);
                *acc = [_mm512_loadu_ps(out), _mm512_loadu_ps(out.add(LANES))];
            }
        }
    }
    let mut b = tile.panel;
    for line in 0..tile.lines {
        let a = tile.values.wrapping_add(line * tile.line_stride);
        for k in 0..LINE {
            // SAFETY: `b` walks over lines * LINE * NR values, `a` has ROWS * LINE.
            unsafe {
                let (b0, b1) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(LANES)));
                b = b.add(NR);
                for (r, acc) in acc.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*a.add(r * LINE + k));
                    acc[0] = _mm512_fmadd_ps(x, b0, acc[0]);
                    acc[1] = _mm512_fmadd_ps(x, b1, acc[1]);
                }
            }
        }
    }
    for (r, acc) in acc.iter().enumerate() {
        // SAFETY: as for reading.
        unsafe {
            let out = tile.out.add(r * NR);
            _mm512_storeu_ps(out, acc[0]);
            _mm512_storeu_ps(out.add(LANES), acc[1]);
        }
    }
}
