//! Pictures and masks as plain bytes.

use serde::{Deserialize, Serialize};

/// 8-bit RGB, row by row. Serialised without its pixels.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// `3 * width * height` bytes.
    #[serde(skip)]
    pub rgb: Vec<u8>,
}

/// 8-bit grey; 255 repaints, 0 keeps. Serialised without its pixels.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask {
    pub width: u32,
    pub height: u32,
    /// `width * height` bytes.
    #[serde(skip)]
    pub grey: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({}x{})", self.width, self.height)
    }
}
