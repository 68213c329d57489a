//! Names of the ways to compute, as the configuration has them.
//!
//! Invariant: plain names; whether a machine can compute that way shows when a worker starts.

use std::fmt;
use std::str::FromStr;

pub use kandinsky_tensor::{Convolutions, InstructionSet, ProductPrecision};
use strum::VariantArray;

/// Which operations a model is computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// The fastest of the device: on the CPU the kernels of the best instruction set that it has, elsewhere candle.
    #[default]
    Auto,
    /// Candle's operations, on any device.
    Candle,
    /// The CPU's own kernels for one instruction set. A machine without it cannot load the model.
    Kernels(InstructionSet),
}

impl FromStr for BackendChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "candle" => Ok(Self::Candle),
            other => other.parse().map(Self::Kernels).map_err(|_| {
                let sets: Vec<String> = InstructionSet::VARIANTS.iter().map(ToString::to_string).collect();
                format!("unknown backend {other:?}; known are auto, candle, {}", sets.join(", "))
            }),
        }
    }
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Candle => f.write_str("candle"),
            Self::Kernels(instructions) => instructions.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_what_it_is_written_for() {
        let kernels = InstructionSet::VARIANTS.iter().map(|set| BackendChoice::Kernels(*set));
        for choice in [BackendChoice::Auto, BackendChoice::Candle].into_iter().chain(kernels) {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "cuda".parse::<BackendChoice>().expect_err("no backend");
        assert!(error.contains("auto, candle, amx, avx512, avx2, neon, portable"), "{error}");
    }
}
