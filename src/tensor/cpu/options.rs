//! What may be chosen of the CPU backend, beside the instruction set.
//!
//! Invariant: choices are made once, when a model is loaded.

use strum::VariantArray as _;

use crate::cpu::packing::WeightPrecision;

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

/// The choices.
#[derive(Debug, Clone, Copy)]
pub struct CpuOptions {
    pub weights: WeightPrecision,
    pub convolutions: Convolutions,
}

impl Default for CpuOptions {
    fn default() -> Self {
        Self { weights: WeightPrecision::AsStored, convolutions: Convolutions::default() }
    }
}

impl From<WeightPrecision> for CpuOptions {
    fn from(weights: WeightPrecision) -> Self {
        Self { weights, ..Self::default() }
    }
}
