//! What the pixels of a mask mean.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which mask pixels are repainted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskConvention {
    /// White is repainted.
    #[default]
    White,
    /// Black is repainted.
    Black,
    /// What is transparent is repainted.
    Alpha,
}

impl MaskConvention {
    /// All conventions.
    pub const ALL: [Self; 3] = [Self::White, Self::Black, Self::Alpha];

    /// The name in requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::White => "white",
            Self::Black => "black",
            Self::Alpha => "alpha",
        }
    }
}

impl FromStr for MaskConvention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|mask| mask.name() == text).ok_or_else(|| format!("must be one of {names}"))
    }
}
