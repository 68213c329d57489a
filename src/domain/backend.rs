//! Names of the ways to compute, as the configuration has them.

use std::fmt;
use std::str::FromStr;

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
            other => other.parse().map(Self::Kernels).map_err(|()| {
                format!("unknown backend {other:?}; known are auto, candle, avx512, avx2, neon and portable")
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

/// A set of instructions that CPU kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX-512F and F16C.
    Avx512,
    /// AVX2, FMA and F16C.
    Avx2,
    /// NEON of 64-bit ARM.
    Neon,
    /// No special instructions.
    Portable,
}

impl InstructionSet {
    /// All of them, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for InstructionSet {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|set| set.name() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_what_it_is_written_for() {
        let all = InstructionSet::ALL.map(BackendChoice::Kernels);
        for choice in [BackendChoice::Auto, BackendChoice::Candle].into_iter().chain(all) {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "cuda".parse::<BackendChoice>().expect_err("no backend");
        assert!(InstructionSet::ALL.iter().all(|set| error.contains(set.name())), "{error}");
    }
}
