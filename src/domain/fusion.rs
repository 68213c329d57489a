//! Mixes of pictures, and of pictures and texts.

use serde::{Deserialize, Serialize};

use super::common::{Limits, check_text};
use super::{Image, Violations};

/// Fewest and most ingredients.
const INPUTS: std::ops::RangeInclusive<usize> = 2..=8;

/// An ingredient and how much of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Weighted<T> {
    pub value: T,
    pub weight: f32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageFusion {
    pub images: Vec<Weighted<Image>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FusionInput {
    Text(String),
    Image(Image),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TextImageFusion {
    pub inputs: Vec<Weighted<FusionInput>>,
    /// None: the texts joined by ", ".
    pub decoder_prompt: Option<String>,
}

impl<T> Weighted<T> {
    /// Ingredients with the weights given, or equal ones that sum to 1 where none are.
    #[must_use]
    pub fn list(values: Vec<(T, Option<f32>)>) -> Vec<Self> {
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let equal = 1.0 / values.len().max(1) as f32;
        values.into_iter().map(|(value, weight)| Self { value, weight: weight.unwrap_or(equal) }).collect()
    }
}

fn check_weights(weights: impl ExactSizeIterator<Item = f32>, list: &str, violations: &mut Violations) {
    let (low, high) = (INPUTS.start(), INPUTS.end());
    violations.require(INPUTS.contains(&weights.len()), list, format!("must have {low} to {high} entries"));
    for (i, weight) in weights.enumerate() {
        violations.require((-2.0..=2.0).contains(&weight), format!("{list}/{i}/weight"), "must be -2 to 2");
    }
}

impl ImageFusion {
    pub(super) fn check(&self, violations: &mut Violations) {
        check_weights(self.images.iter().map(|image| image.weight), "/images", violations);
    }
}

impl TextImageFusion {
    pub(super) fn check(&self, limits: &Limits, violations: &mut Violations) {
        check_weights(self.inputs.iter().map(|input| input.weight), "/inputs", violations);
        for (i, input) in self.inputs.iter().enumerate() {
            if let FusionInput::Text(text) = &input.value {
                check_text(text, &format!("/inputs/{i}/prompt"), limits, violations);
            }
        }
        if let Some(text) = &self.decoder_prompt {
            check_text(text, "/decoder_prompt", limits, violations);
        }
    }
}
