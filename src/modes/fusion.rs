//! What both fusions share: weighted inputs, and how forms write them.

use serde::{Deserialize, Serialize};

use crate::domain::{Image, Violations};

/// Fewest and most inputs.
const INPUTS: std::ops::RangeInclusive<usize> = 2..=8;

/// An input of a fusion and how much of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Weighted<T> {
    pub value: T,
    /// -2 to 2.
    pub weight: f32,
}

/// A text or an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FusionInput {
    Text(String),
    Image(Image),
}

impl<T> Weighted<T> {
    /// Inputs with the weights given; an absent one is an equal share.
    #[must_use]
    pub fn list(values: Vec<(T, Option<f32>)>) -> Vec<Self> {
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let equal = 1.0 / values.len().max(1) as f32;
        values.into_iter().map(|(value, weight)| Self { value, weight: weight.unwrap_or(equal) }).collect()
    }
}

/// Check the number of inputs and each weight that is given; `list` is the JSON pointer of the inputs.
pub(super) fn check_weights(
    weights: impl ExactSizeIterator<Item = Option<f32>>,
    list: &str,
    violations: &mut Violations,
) {
    let (low, high) = (INPUTS.start(), INPUTS.end());
    violations.require(INPUTS.contains(&weights.len()), list, format!("must have {low} to {high} entries"));
    for (i, weight) in weights.enumerate() {
        let is_valid = weight.is_none_or(|weight| (-2.0..=2.0).contains(&weight));
        violations.require(is_valid, format!("{list}/{i}/weight"), "must be -2 to 2");
    }
}
