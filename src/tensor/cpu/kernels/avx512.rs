//! AVX-512F and F16C: a panel is two registers, a full tile 24 accumulators; columns that do not exist are masked.

use std::arch::x86_64::{
    __m512, __mmask16, _mm256_loadu_si256, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_cvtph_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_slli_epi32,
};

use half::{bf16, f16};

use crate::cpu::kernels::kernel::{Kernel, NR, Tile};
use crate::instructions::InstructionSet;

/// Values of a register.
const LANES: usize = 16;

struct Avx512;

/// The kernels, if this machine has the instructions.
pub(super) fn detect() -> Option<&'static dyn Kernel> {
    let available = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("f16c");
    available.then_some(&Avx512)
}

// SAFETY: `Avx512` is private and handed out by `detect` alone; the rest is shown in `tile`.
unsafe impl Kernel for Avx512 {
    fn instruction_set(&self) -> InstructionSet {
        InstructionSet::Avx512
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
}

/// A weight that can be widened to f32, a register at a time.
trait Weight: Copy {
    /// # Safety
    /// 16 values must be readable at `from`, and the machine must have AVX-512F.
    unsafe fn load(from: *const Self) -> __m512;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load(from: *const Self) -> __m512 {
        // SAFETY: by contract.
        unsafe { _mm512_loadu_ps(from) }
    }
}

impl Weight for f16 {
    #[inline(always)]
    unsafe fn load(from: *const Self) -> __m512 {
        // SAFETY: by contract; f16 has the layout of its 16 bits.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
}

impl Weight for bf16 {
    #[inline(always)]
    unsafe fn load(from: *const Self) -> __m512 {
        // SAFETY: by contract; bf16 is the high half of an f32.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())))) }
    }
}

/// # Safety
/// As [`Kernel::multiply_f32`]; the machine must have AVX-512F and F16C.
unsafe fn multiply<W: Weight>(tile_of: Tile<'_>, panel: *const W) {
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
unsafe fn tile<W: Weight, const ROWS: usize>(tile: Tile<'_>, panel: *const W) {
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
                let (b0, b1) = (W::load(b), W::load(b.add(LANES)));
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
