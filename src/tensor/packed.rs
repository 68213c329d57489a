//! Weights in the order in which the CPU kernels read them.
//!
//! Invariant: a matrix of `taps * depth` inputs and `width` outputs is kept once, as panels of [`NR`] outputs:
//! `[panel][tap][depth][NR]`, the last panel padded with zeros, in f32, f16 or bf16.

use half::{bf16, f16};

use crate::tensor::weights::Raw;

/// Outputs in one panel: two AVX-512 registers of f32.
pub(super) const NR: usize = 32;

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
}

/// A packed matrix.
pub(super) struct Packed {
    pub(super) panels: Panels,
    pub(super) taps: usize,
    pub(super) depth: usize,
    pub(super) width: usize,
}

impl Packed {
    /// Pack a `[width, depth, taps]` weight (linear layers have one tap).
    pub(super) fn new(raw: &Raw<'_>, width: usize, depth: usize, taps: usize, keep: WeightPrecision) -> Self {
        let keep = match keep {
            WeightPrecision::AsStored => raw.precision(),
            other => other,
        };
        let panels = match (keep, raw) {
            (WeightPrecision::F16, Raw::F16(values)) => {
                Panels::F16(pack(width, depth, taps, |i| read_u16(values, i).map_or(f16::ZERO, f16::from_bits)))
            }
            (WeightPrecision::Bf16, Raw::Bf16(values)) => {
                Panels::Bf16(pack(width, depth, taps, |i| read_u16(values, i).map_or(bf16::ZERO, bf16::from_bits)))
            }
            (WeightPrecision::F16, _) => Panels::F16(pack(width, depth, taps, |i| f16::from_f32(raw.get(i)))),
            (WeightPrecision::Bf16, _) => Panels::Bf16(pack(width, depth, taps, |i| bf16::from_f32(raw.get(i)))),
            _ => Panels::F32(pack(width, depth, taps, |i| raw.get(i))),
        };
        Self { panels, taps, depth, width }
    }

    /// Number of panels.
    pub(super) fn count(&self) -> usize {
        self.width.div_ceil(NR)
    }
}

fn read_u16(bytes: &[u8], index: usize) -> Option<u16> {
    bytes.get(2 * index..2 * index + 2).map(|b| u16::from_le_bytes([b[0], b[1]]))
}

fn pack<T: Copy + Default + Send>(width: usize, depth: usize, taps: usize, get: impl Fn(usize) -> T + Sync) -> Vec<T> {
    use rayon::prelude::*;
    let panel = taps * depth * NR;
    let mut out = vec![T::default(); width.div_ceil(NR) * panel];
    out.par_chunks_mut(panel).enumerate().for_each(|(p, chunk)| {
        for j in 0..NR.min(width - p * NR) {
            let row = (p * NR + j) * depth * taps;
            for k in 0..depth {
                for tap in 0..taps {
                    chunk[(tap * depth + k) * NR + j] = get(row + k * taps + tap);
                }
            }
        }
    });
    out
}
