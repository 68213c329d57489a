//! AVX512-BF16: pairs of bf16 products, beside what `avx512` has.
//!
//! Invariant: as [`PairKernel`]; a panel is two registers, a full tile 24 accumulators.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, __mmask16, _MM_HINT_T0, _mm_prefetch, _mm256_storeu_si256,
    _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16, _mm512_set_epi16, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_si512,
};

use half::bf16;

use crate::cpu::kernels::lanes::RoundBf16;
use crate::cpu::kernels::pairs::{self, PairKernel, PairTile, RoundedRow};
use crate::cpu::kernels::sizes::{NR, PAIR_LINE};
use crate::cpu::kernels::tiles::{InputTile, WeightBlock};
use crate::cpu::kernels::winograd::{self, pair_transforms};

/// Values of a register of f32.
const LANES: usize = 16;

pub(super) struct Avx512Bf16;

/// The kernels, if this machine has the instructions.
pub(super) fn detect() -> Option<&'static dyn PairKernel> {
    let available = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("f16c");
    available.then_some(&Avx512Bf16)
}

// SAFETY: `Avx512Bf16` is handed out by `detect` alone (and by AMX's, where that has found it); the rest is shown in `tile`.
unsafe impl PairKernel for Avx512Bf16 {
    unsafe fn multiply(&self, of: PairTile) {
        // SAFETY: the machine has the instructions; the rest by contract.
        unsafe {
            match of.rows {
                12 => tile::<12>(of),
                11 => tile::<11>(of),
                10 => tile::<10>(of),
                9 => tile::<9>(of),
                8 => tile::<8>(of),
                7 => tile::<7>(of),
                6 => tile::<6>(of),
                5 => tile::<5>(of),
                4 => tile::<4>(of),
                3 => tile::<3>(of),
                2 => tile::<2>(of),
                _ => tile::<1>(of),
            }
        }
    }

    pair_transforms!(__m512, "avx512f,avx512bw,avx512bf16,f16c");
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile<const ROWS: usize>(tile: PairTile) {
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
    let mut b = tile.panel;
    let mut ahead = tile.ahead;
    for line in 0..tile.lines {
        let a = tile.values.wrapping_add(line * tile.line_stride);
        for k in 0..PAIR_LINE / 2 {
            // SAFETY: `b` walks over lines * PAIR_LINE / 2 * NR pairs, `a` has ROWS lines; a hint may be of any address.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(ahead.panel.cast());
                _mm_prefetch::<_MM_HINT_T0>(ahead.panel.wrapping_add(PAIR_LINE).cast());
                _mm_prefetch::<_MM_HINT_T0>(ahead.values.cast());
                ahead.panel = ahead.panel.wrapping_add(2 * PAIR_LINE);
                ahead.values = ahead.values.wrapping_add(PAIR_LINE);
                let (b0, b1) = (pair(_mm512_loadu_si512(b.cast())), pair(_mm512_loadu_si512(b.add(2 * LANES).cast())));
                b = b.add(2 * NR);
                for (r, acc) in acc.iter_mut().enumerate() {
                    let x = pair(_mm512_set1_epi32(both(a.add(r * PAIR_LINE + 2 * k))));
                    acc[0] = _mm512_dpbf16_ps(acc[0], x, b0);
                    acc[1] = _mm512_dpbf16_ps(acc[1], x, b1);
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

/// The bits of a pair.
///
/// # Safety
/// Two values must be readable at `from`.
#[inline(always)]
unsafe fn both(from: *const bf16) -> i32 {
    // SAFETY: by contract.
    i32::from_ne_bytes(unsafe { from.cast::<[u8; 4]>().read() })
}

/// A register of pairs.
#[inline(always)]
fn pair(bits: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits, of which each is a number.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}

impl RoundBf16 for __m512 {
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16) {
        // SAFETY: by contract; both types are 256 bits.
        unsafe {
            let halves = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(self));
            _mm256_storeu_si256(to.cast(), halves);
        }
    }

    #[inline(always)]
    unsafe fn store_pairs(even: Self, odd: Self, to: *mut bf16) {
        // SAFETY: by contract; both types are 512 bits.
        unsafe {
            let halves = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(odd, even));
            let turns = _mm512_set_epi16(
                31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2,
                17, 1, 16, 0,
            );
            _mm512_storeu_si512(to.cast(), _mm512_permutexvar_epi16(turns, halves));
        }
    }
}
