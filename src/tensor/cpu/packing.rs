//! Weights in the order in which the kernels read them.
//!
//! Invariant: a matrix of `taps * depth` inputs and `width` outputs is kept once, as panels of [`NR`] outputs:
//! `[panel][tap][depth][NR]`, the last panel padded with zeros, in f32, f16 or bf16; for products in bf16 as pairs,
//! `[panel][tap][depth / 2][NR][2]`, each tap padded with zeros to whole lines.

use std::ops::Range;
use std::sync::LazyLock;

use candle_core::DType;
use half::vec::HalfBitsVecExt as _;
use half::{bf16, f16};

use crate::cpu::kernels::{NR, PAIR_LINE, PairKernel};
use crate::parallel;
use crate::stored::StoredTensor;

/// Weights of each output that are packed at a time: some lines of the cache.
const PACK_BLOCK: usize = 128;

/// Every number of f16, rounded to bf16: looking one up takes a fraction of what converting it does, and a checkpoint has billions.
static ROUNDED_HALVES: LazyLock<Vec<u16>> =
    LazyLock::new(|| (0..=u16::MAX).map(|bits| bf16::from_f32(f16::from_bits(bits).to_f32()).to_bits()).collect());

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
        let keep = match (keep, weight.dtype()) {
            (WeightPrecision::AsStored, DType::F16) => WeightPrecision::F16,
            (WeightPrecision::AsStored, DType::BF16) => WeightPrecision::Bf16,
            (WeightPrecision::AsStored, _) => WeightPrecision::F32,
            (other, _) => other,
        };
        let form = Form::of(weight);
        let (depth, panel) = (form.depth, form.taps * form.depth * NR);
        let line = |tap, k| (tap * depth + k) * NR;
        let panels = match (keep, weight.dtype()) {
            (WeightPrecision::F16, DType::F16) => {
                Panels::F16(pack::<_, 1>(form, panel, line, bits_of(weight)).reinterpret_into())
            }
            (WeightPrecision::Bf16, DType::BF16) => {
                Panels::Bf16(pack::<_, 1>(form, panel, line, bits_of(weight)).reinterpret_into())
            }
            (WeightPrecision::F16, _) => {
                let read = each(|i| f16::from_f32(weight.get(i)).to_bits());
                Panels::F16(pack::<_, 1>(form, panel, line, read).reinterpret_into())
            }
            (WeightPrecision::Bf16, _) => {
                let read = each(|i| bf16::from_f32(weight.get(i)).to_bits());
                Panels::Bf16(pack::<_, 1>(form, panel, line, read).reinterpret_into())
            }
            _ => Panels::F32(pack::<_, 1>(form, panel, line, each(|i| weight.get(i)))),
        };
        Self { panels, taps: form.taps, depth, width: form.width }
    }

    /// Pack it for products in bf16.
    pub(super) fn pairs(weight: &StoredTensor<'_>, kernel: &'static dyn PairKernel) -> Self {
        let form = Form::of(weight);
        let of_tap = form.depth.next_multiple_of(PAIR_LINE) * NR;
        let (panel, line) = (form.taps * of_tap, |tap, k| tap * of_tap + k / 2 * NR * 2 + k % 2);
        let out = match weight.dtype() {
            DType::BF16 => pack::<_, 2>(form, panel, line, bits_of(weight)),
            DType::F16 => {
                let rounded: &[u16] = &ROUNDED_HALVES;
                let bits = bits_of(weight);
                pack::<_, 2>(form, panel, line, move |run, to: &mut [u16]| {
                    bits(run, to);
                    for bits in to {
                        *bits = rounded[usize::from(*bits)];
                    }
                })
            }
            _ => pack::<_, 2>(form, panel, line, each(|i| bf16::from_f32(weight.get(i)).to_bits())),
        };
        Self {
            panels: Panels::Pairs(out.reinterpret_into(), kernel),
            taps: form.taps,
            depth: form.depth,
            width: form.width,
        }
    }

    /// Number of panels.
    pub(super) fn count(&self) -> usize {
        self.width.div_ceil(NR)
    }
}

/// Sizes of a weight `[width, depth, taps]`.
#[derive(Clone, Copy)]
struct Form {
    width: usize,
    depth: usize,
    taps: usize,
}

impl Form {
    fn of(weight: &StoredTensor<'_>) -> Self {
        let (width, depth) = (weight.shape()[0], weight.shape()[1]);
        Self { width, depth, taps: weight.shape()[2..].iter().product() }
    }
}

/// Reads a run of weights that are stored in 16 bits.
fn bits_of<'a>(weight: &'a StoredTensor<'_>) -> impl Fn(Range<usize>, &mut [u16]) + Sync + 'a {
    let bytes = weight.bytes();
    move |run, to| {
        let (stored, _) = bytes[2 * run.start..2 * run.end].as_chunks();
        to.iter_mut().zip(stored).for_each(|(to, bytes)| *to = u16::from_le_bytes(*bytes));
    }
}

/// Reads a run of weights one by one.
fn each<T>(get: impl Fn(usize) -> T + Sync) -> impl Fn(Range<usize>, &mut [T]) + Sync {
    move |run, to| to.iter_mut().zip(run).for_each(|(to, i)| *to = get(i))
}

/// `read` gives a run of the weights `[width, depth, taps]`, `line` where the first output of a tap and a depth lies in its panel; the
/// others follow at a distance of `STEP`.
fn pack<T: Copy + Default + Send, const STEP: usize>(
    Form { width, depth, taps }: Form,
    panel: usize,
    line: impl Fn(usize, usize) -> usize + Sync,
    read: impl Fn(Range<usize>, &mut [T]) + Sync,
) -> Vec<T> {
    let mut out = vec![T::default(); width.div_ceil(NR) * panel];
    let block = (PACK_BLOCK / taps).max(1);
    parallel::for_each_piece(&mut out, panel, |p, chunk| {
        let outputs = NR.min(width - p * NR);
        // A run of each output, as they are stored; then line by line of the panel, out of the cache.
        let mut runs = vec![T::default(); outputs * block * taps];
        for start in (0..depth).step_by(block) {
            let depths = block.min(depth - start);
            for (j, run) in runs.chunks_exact_mut(block * taps).enumerate() {
                let from = ((p * NR + j) * depth + start) * taps;
                read(from..from + depths * taps, &mut run[..depths * taps]);
            }
            for (k, tap) in (0..depths).flat_map(|k| (0..taps).map(move |tap| (k, tap))) {
                let to = &mut chunk[line(tap, start + k)..][..=(outputs - 1) * STEP];
                for (to, run) in to.iter_mut().step_by(STEP).zip(runs.chunks_exact(block * taps)) {
                    *to = run[k * taps + tap];
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
