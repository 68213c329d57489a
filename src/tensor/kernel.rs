//! The innermost kernel: a tile of up to [`MR`] rows by one panel of outputs, accumulated in registers.
//!
//! Invariant: an output element is `start + a[0] b[0] + a[1] b[1] + ...` in ascending order, one multiply-add (fused where the CPU can)
//! each, whatever the number of rows in the tile; so tiling never shows in the result.

use half::{bf16, f16};

use crate::tensor::packed::NR;

/// Rows in a full tile.
pub(super) const MR: usize = 12;

/// What one tile computes: for `taps * depth` products per element,
/// `out[r][j] (+)= sum over t, k of rows[t][r][k] * panel[t][k][j]`.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// Row pointers, `[taps][rows]`, each to at least `depth` readable values.
    pub(super) pointers: &'a [*const f32],
    pub(super) taps: usize,
    pub(super) rows: usize,
    pub(super) depth: usize,
    /// Outputs of this panel that exist (at most [`NR`]).
    pub(super) width: usize,
    pub(super) out: *mut f32,
    /// Distance between rows of `out`.
    pub(super) stride: usize,
    /// Add to what `out` holds rather than to zero.
    pub(super) accumulate: bool,
}

/// A weight that kernels can widen to f32.
pub(super) trait Weight: Copy + Send + Sync {
    fn widen(self) -> f32;
    /// Load 16 values.
    ///
    /// # Safety
    /// 16 values must be readable at `from`, and the CPU must have AVX-512F (bf16 and f16 conversions included).
    #[cfg(target_arch = "x86_64")]
    unsafe fn load16(from: *const Self) -> std::arch::x86_64::__m512;
}

impl Weight for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load16(from: *const Self) -> std::arch::x86_64::__m512 {
        // SAFETY: by contract.
        unsafe { std::arch::x86_64::_mm512_loadu_ps(from) }
    }
}

impl Weight for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load16(from: *const Self) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::{_mm256_loadu_si256, _mm512_cvtph_ps};
        // SAFETY: by contract; f16 has the layout of its 16 bits.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
}

impl Weight for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load16(from: *const Self) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::{_mm256_loadu_si256, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_slli_epi32};
        // SAFETY: by contract; bf16 is the high half of an f32.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())))) }
    }
}

/// Compute one tile.
///
/// # Safety
/// `tile.pointers` must hold `taps * rows` pointers to `depth` readable values each, `panel` must point to
/// `taps * depth * NR` weights, and `out` to `rows` rows of `width` writable values, `stride` apart.
pub(super) unsafe fn run<W: Weight>(tile: Tile<'_>, panel: *const W) {
    debug_assert!(tile.rows >= 1 && tile.rows <= MR && tile.width >= 1 && tile.width <= NR);
    #[cfg(target_arch = "x86_64")]
    if has_avx512() {
        // SAFETY: the CPU has the features; the rest by contract.
        unsafe {
            match tile.rows {
                12 => avx512::<W, 12>(tile, panel),
                11 => avx512::<W, 11>(tile, panel),
                10 => avx512::<W, 10>(tile, panel),
                9 => avx512::<W, 9>(tile, panel),
                8 => avx512::<W, 8>(tile, panel),
                7 => avx512::<W, 7>(tile, panel),
                6 => avx512::<W, 6>(tile, panel),
                5 => avx512::<W, 5>(tile, panel),
                4 => avx512::<W, 4>(tile, panel),
                3 => avx512::<W, 3>(tile, panel),
                2 => avx512::<W, 2>(tile, panel),
                _ => avx512::<W, 1>(tile, panel),
            }
        }
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the CPU has the features; the rest by contract.
        unsafe { avx2(tile, panel) };
        return;
    }
    // SAFETY: by contract.
    unsafe { portable::<W, false>(tile, panel) };
}

#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("f16c")
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,f16c")]
unsafe fn avx512<W: Weight, const ROWS: usize>(tile: Tile<'_>, panel: *const W) {
    use std::arch::x86_64::{
        __mmask16, _mm512_fmadd_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    };
    const LANES: usize = 16;
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
                let (b0, b1) = (W::load16(b), W::load16(b.add(LANES)));
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<W: Weight>(tile: Tile<'_>, panel: *const W) {
    // SAFETY: by contract.
    unsafe { portable::<W, true>(tile, panel) };
}

/// Plain loops that the compiler vectorises for the features of its caller.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "index loops over fixed arrays are what vectorises")]
unsafe fn portable<W: Weight, const FMA: bool>(tile: Tile<'_>, panel: *const W) {
    const ROWS: usize = 3;
    let mut first = 0;
    while first < tile.rows {
        let rows = ROWS.min(tile.rows - first);
        let mut acc = [[0.0_f32; NR]; ROWS];
        for r in 0..rows {
            if tile.accumulate {
                for j in 0..tile.width {
                    // SAFETY: `width` values of row `first + r`.
                    acc[r][j] = unsafe { *tile.out.add((first + r) * tile.stride + j) };
                }
            }
        }
        let mut b = panel;
        for tap in 0..tile.taps {
            for k in 0..tile.depth {
                let mut weights = [0.0_f32; NR];
                for (j, weight) in weights.iter_mut().enumerate() {
                    // SAFETY: `b` walks over taps * depth * NR weights.
                    *weight = unsafe { *b.add(j) }.widen();
                }
                for r in 0..rows {
                    // SAFETY: each row pointer has `depth` values.
                    let x = unsafe { *tile.pointers[tap * tile.rows + first + r].add(k) };
                    for j in 0..NR {
                        acc[r][j] = if FMA { x.mul_add(weights[j], acc[r][j]) } else { acc[r][j] + x * weights[j] };
                    }
                }
                // SAFETY: as above; one past the end at the most.
                b = unsafe { b.add(NR) };
            }
        }
        for r in 0..rows {
            for j in 0..tile.width {
                // SAFETY: `width` values of row `first + r`.
                unsafe { *tile.out.add((first + r) * tile.stride + j) = acc[r][j] };
            }
        }
        first += rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    /// A tile of `rows` by `width` outputs over random numbers, through `kernel`.
    fn tile(rows: usize, width: usize, kernel: impl Fn(Tile<'_>, *const f16)) -> Vec<f32> {
        let (taps, depth) = (3, 41);
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 500.0 - 1.0;
        let a: Vec<f32> = (0..taps * rows * depth).map(number).collect();
        let panel: Vec<f16> = (0..taps * depth * NR).map(|i| f16::from_f32(number(i + 5))).collect();
        let pointers: Vec<*const f32> = a.chunks(depth).map(<[f32]>::as_ptr).collect();
        let mut out: Vec<f32> = (0..rows * NR).map(number).collect();
        let stride = NR;
        let out_pointer = out.as_mut_ptr();
        kernel(
            Tile { pointers: &pointers, taps, rows, depth, width, out: out_pointer, stride, accumulate: true },
            panel.as_ptr(),
        );
        out
    }

    #[test]
    fn vector_and_plain_kernels_agree_bit_by_bit() {
        for rows in 1..=MR {
            for width in [1, 15, 16, 17, NR] {
                // SAFETY: `tile` upholds the contract.
                let fast = tile(rows, width, |tile, panel| unsafe { run(tile, panel) });
                // SAFETY: as above.
                let plain = tile(rows, width, |tile, panel| unsafe { portable::<f16, true>(tile, panel) });
                // SAFETY: as above.
                let unfused = tile(rows, width, |tile, panel| unsafe { portable::<f16, false>(tile, panel) });
                #[cfg(target_arch = "x86_64")]
                if std::arch::is_x86_feature_detected!("fma") {
                    assert_eq!(fast, plain, "{rows} rows, {width} outputs");
                }
                for (a, b) in fast.iter().zip(&unfused) {
                    assert!((a - b).abs() < 1e-3, "{a} against {b}");
                }
            }
        }
    }
}
