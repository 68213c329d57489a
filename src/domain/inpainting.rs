//! A picture with a part repainted.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::common::{Limits, check_size, check_text};
use super::{Image, Violations};

/// What a mask's values mean.
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

impl FromStr for MaskConvention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "white" => Ok(Self::White),
            "black" => Ok(Self::Black),
            "alpha" => Ok(Self::Alpha),
            _ => Err("must be one of white, black, alpha".to_owned()),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inpainting {
    /// None: the picture itself says what belongs there.
    pub prompt: Option<String>,
    pub image: Image,
    /// Gray, of the image's size; 255 repaints, 0 keeps.
    pub mask: Image,
    /// Return the pixels outside of the mask bit by bit.
    pub composite: bool,
    /// Width of the soft edge inside the repainted area, px.
    pub feather: u32,
}

/// Widest soft edge, px.
const MAX_FEATHER: u32 = 256;

impl Inpainting {
    pub(super) fn check(&self, limits: &Limits, violations: &mut Violations) {
        if let Some(prompt) = &self.prompt {
            check_text(prompt, "/prompt", limits, violations);
        }
        let size = self.image.size();
        check_size(size, ("/image", "/image"), limits, violations);
        violations.require(
            self.mask.size() == size && self.mask.channels() == Image::GRAY,
            "/mask",
            format!("must have the size of the image, {}x{}", size.width, size.height),
        );
        violations.require(self.mask.pixels().iter().any(|x| *x >= 128), "/mask", "marks nothing to repaint");
        violations.require(self.feather <= MAX_FEATHER, "/feather", format!("must be 0 to {MAX_FEATHER} px"));
    }
}
