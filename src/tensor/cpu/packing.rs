//! Weights in the order in which the kernels read them.
//!
//! Invariant: a matrix of `taps * depth` inputs and `width` outputs is kept once, as panels of [`NR`] outputs:
//! `[panel][tap][depth][NR]`, the last panel padded with zeros, in f32, f16 or bf16; for products in bf16 as pairs,
//! `[panel][tap][depth / 2][NR][2]`, each tap padded with zeros to whole lines.

use std::sync::LazyLock;

use candle_core::DType;
use half::{bf16, f16};
use rayon::prelude::*;

use crate::cpu::kernels::{NR, PAIR_LINE, PairKernel};
use crate::stored::StoredTensor;

/// Depth that is packed at a time.
const PACK_BLOCK: usize = 16;

/// Every number of f16, rounded to bf16: looking one up takes a fraction of what converting it does, and a checkpoint has billions.
static ROUNDED_HALVES: LazyLock<Vec<bf16>> =
    LazyLock::new(|| (0..=u16::MAX).map(|bits| bf16::from_f32(f16::from_bits(bits).to_f32())).collect());

/// Precision that weights are kept in on the CPU. Kernels widen them to f32 in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightPrecision {
    /// As the checkpoint stores them.
    AsStored,
    F32,
    F16,
    Bf16,
}

/// The numbers of packed panels.
pub(super) enum Panels {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
    /// For products in bf16, by these kernels.
    Pairs(Vec<bf16>, &'static dyn PairKernel),
}

/// A packed matrix.
pub(super) struct Packed {
    pub(super) panels: Panels,
    pub(super) taps: usize,
    pub(super) depth: usize,
    pub(super) width: usize,
}

impl Packed {
    /// Pack a weight `[width, depth, ...]`; the dimensions after the second are taps (a linear layer has one).
    pub(super) fn new(weight: &StoredTensor<'_>, keep: WeightPrecision) -> Self {
        let (width, depth) = (weight.shape()[0], weight.shape()[1]);
        let taps = weight.shape()[2..].iter().product();
        let keep = match (keep, weight.dtype()) {
            (WeightPrecision::AsStored, DType::F16) => WeightPrecision::F16,
            (WeightPrecision::AsStored, DType::BF16) => WeightPrecision::Bf16,
            (WeightPrecision::AsStored, _) => WeightPrecision::F32,
            (other, _) => other,
        };
        let (sizes, bytes) = ((width, depth, taps), weight.bytes());
        let bits = |i: usize| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]);
        let (panel, place) = (taps * depth * NR, |tap, k, j| (tap * depth + k) * NR + j);
        let panels = match (keep, weight.dtype()) {
            (WeightPrecision::F16, DType::F16) => Panels::F16(pack(sizes, panel, place, |i| f16::from_bits(bits(i)))),
            (WeightPrecision::Bf16, DType::BF16) => {
                Panels::Bf16(pack(sizes, panel, place, |i| bf16::from_bits(bits(i))))
            }
            (WeightPrecision::F16, _) => Panels::F16(pack(sizes, panel, place, |i| f16::from_f32(weight.get(i)))),
            (WeightPrecision::Bf16, _) => Panels::Bf16(pack(sizes, panel, place, |i| bf16::from_f32(weight.get(i)))),
            _ => Panels::F32(pack(sizes, panel, place, |i| weight.get(i))),
        };
        Self { panels, taps, depth, width }
    }

    /// Pack it for products in bf16.
    pub(super) fn pairs(weight: &StoredTensor<'_>, kernel: &'static dyn PairKernel) -> Self {
        let (width, depth) = (weight.shape()[0], weight.shape()[1]);
        let taps: usize = weight.shape()[2..].iter().product();
        let (sizes, bytes) = ((width, depth, taps), weight.bytes());
        let bits = |i: usize| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]);
        let of_tap = depth.next_multiple_of(PAIR_LINE) * NR;
        let (panel, place) = (taps * of_tap, |tap, k, j| tap * of_tap + (k / 2 * NR + j) * 2 + k % 2);
        let out = match weight.dtype() {
            DType::BF16 => pack(sizes, panel, place, |i| bf16::from_bits(bits(i))),
            DType::F16 => {
                let rounded = &*ROUNDED_HALVES;
                pack(sizes, panel, place, |i| rounded[usize::from(bits(i))])
            }
            _ => pack(sizes, panel, place, |i| bf16::from_f32(weight.get(i))),
        };
        Self { panels: Panels::Pairs(out, kernel), taps, depth, width }
    }

    /// Number of panels.
    pub(super) fn count(&self) -> usize {
        self.width.div_ceil(NR)
    }
}

/// `get` gives the weight of an index into `[width, depth, taps]`, `place` where the one of a tap, a depth and an output lies in its
/// panel.
fn pack<T: Copy + Default + Send>(
    (width, depth, taps): (usize, usize, usize),
    panel: usize,
    place: impl Fn(usize, usize, usize) -> usize + Sync,
    get: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let mut out = vec![T::default(); width.div_ceil(NR) * panel];
    out.par_chunks_mut(panel).enumerate().for_each(|(p, chunk)| {
        // A block of depth at a time, whose lines stay in the L1 cache while one output after the other is put into them.
        for start in (0..depth).step_by(PACK_BLOCK) {
            for j in 0..NR.min(width - p * NR) {
                let row = (p * NR + j) * depth * taps;
                for k in start..(start + PACK_BLOCK).min(depth) {
                    for tap in 0..taps {
                        chunk[place(tap, k, j)] = get(row + k * taps + tap);
                    }
                }
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use safetensors::tensor::Dtype;

    use super::*;

    #[test]
    fn panels_hold_every_weight_once_and_zeros_after_the_last_output() {
        let (width, depth, taps) = (NR + 3, 5, 4);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let bytes: Vec<u8> = (0..width * depth * taps).flat_map(|i| (i as f32 + 1.0).to_le_bytes()).collect();
        let stored = StoredTensor::new(Dtype::F32, Cow::Owned(bytes), &[width, depth, 2, 2]).expect("f32 is a weight");
        let packed = Packed::new(&stored, WeightPrecision::AsStored);
        assert_eq!((packed.width, packed.depth, packed.taps, packed.count()), (width, depth, taps, 2));
        let Panels::F32(panels) = &packed.panels else { panic!("stored as f32") };
        for (at, value) in panels.iter().enumerate() {
            let (panel, rest) = (at / (taps * depth * NR), at % (taps * depth * NR));
            let (tap, k, output) = (rest / (depth * NR), rest / NR % depth, panel * NR + rest % NR);
            let want = if output < width { stored.get((output * depth + k) * taps + tap) } else { 0.0 };
            assert!((value - want).abs() < f32::EPSILON, "panel {panel}, tap {tap}, depth {k}, output {output}");
        }
    }
}
