//! What may be chosen of the CPU backend, beside the instruction set.
//!
//! Invariant: choices are made once, when a model is loaded.

use strum::VariantArray as _;

use crate::cpu::kernels::{Kernel, PAIR_LINE, PairKernel};
use crate::cpu::packing::WeightPrecision;
use crate::stored::StoredTensor;

/// How 3x3 convolutions of stride 1 are computed. The ways differ by rounding only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::Display, strum::EnumString, strum::VariantArray)]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = unknown_way)]
pub enum Convolutions {
    /// Each layer as it is fastest.
    #[default]
    Fastest,
    /// As sums of products.
    Plain,
    /// In tiles of 2x2 outputs, F(2x2, 3x3).
    Tiles2,
    /// In tiles of 4x4 outputs, F(4x4, 3x3).
    Tiles4,
}

fn unknown_way(name: &str) -> String {
    let ways: Vec<String> = Convolutions::VARIANTS.iter().map(ToString::to_string).collect();
    format!("unknown way of convolutions {name:?}; known are {}", ways.join(", "))
}

/// What the products of large layers are computed in. Sums, norms, softmax and activations are in f32 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::Display, strum::EnumString, strum::VariantArray)]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = unknown_precision)]
pub enum ProductPrecision {
    #[default]
    F32,
    /// Both factors rounded to bf16: needs AVX512-BF16 or AMX.
    Bf16,
}

fn unknown_precision(name: &str) -> String {
    let known: Vec<String> = ProductPrecision::VARIANTS.iter().map(ToString::to_string).collect();
    format!("unknown precision {name:?}; known are {}", known.join(" and "))
}

/// The choices.
#[derive(Debug, Clone, Copy)]
pub struct CpuOptions {
    pub weights: WeightPrecision,
    pub convolutions: Convolutions,
    pub precision: ProductPrecision,
}

impl Default for CpuOptions {
    fn default() -> Self {
        Self {
            weights: WeightPrecision::AsStored,
            convolutions: Convolutions::default(),
            precision: ProductPrecision::default(),
        }
    }
}

impl CpuOptions {
    /// What multiplies in bf16 for a layer with this weight; none for one in f32, as layers of little depth are in any case.
    pub(super) fn pairs(self, kernel: &dyn Kernel, weight: &StoredTensor<'_>) -> Option<&'static dyn PairKernel> {
        let asked = self.precision == ProductPrecision::Bf16 && weight.shape()[1] >= PAIR_LINE;
        if asked { kernel.pairs() } else { None }
    }
}

impl From<WeightPrecision> for CpuOptions {
    fn from(weights: WeightPrecision) -> Self {
        Self { weights, ..Self::default() }
    }
}
