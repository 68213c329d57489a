//! A picture redrawn from one picture.

use serde::{Deserialize, Serialize};

use super::common::{Limits, check_text};
use super::{Image, Violations};

/// How much is redrawn unless asked otherwise (the reference's default).
pub const DEFAULT_STRENGTH: f64 = 0.3;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageToImage {
    pub prompt: String,
    pub image: Image,
    /// 0 keeps the picture, 1 ignores it.
    pub strength: f64,
}

impl ImageToImage {
    /// With the default strength.
    #[must_use]
    pub fn new(prompt: String, image: Image, strength: Option<f64>) -> Self {
        Self { prompt, image, strength: strength.unwrap_or(DEFAULT_STRENGTH) }
    }

    pub(super) fn check(&self, limits: &Limits, violations: &mut Violations) {
        check_text(&self.prompt, "/prompt", limits, violations);
        violations.require((0.0..=1.0).contains(&self.strength), "/strength", "must be 0 to 1");
    }
}
