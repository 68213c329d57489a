//! What both fusions share: weighted inputs, and how forms write them.

use serde::{Deserialize, Serialize};

use crate::domain::{Image, Violations, Warning, WarningCode};

/// How far a sum of weights may be from 1 and still count as 1: what weights written with a few digits are off.
const TOLERANCE: f64 = 1e-3;
/// Lowest and highest weight.
const WEIGHTS: std::ops::RangeInclusive<f32> = -2.0..=2.0;
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
    /// Inputs with equal weights.
    #[must_use]
    pub fn equal(values: Vec<T>) -> Vec<Self> {
        let weight = equal_share(values.len());
        values.into_iter().map(|value| Self { value, weight }).collect()
    }

    /// Inputs with their weights.
    pub(super) fn zip(values: Vec<T>, weights: Vec<f32>) -> Vec<Self> {
        values.into_iter().zip(weights).map(|(value, weight)| Self { value, weight }).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn equal_share(count: usize) -> f32 {
    1.0 / count.max(1) as f32
}

/// The weights as a request gives them, taken together.
#[derive(Debug)]
pub(super) struct RequestedWeights {
    pub(super) given: Vec<Option<f32>>,
    /// Whether they are scaled to a sum of 1. Default: true.
    pub(super) normalize: Option<bool>,
}

impl RequestedWeights {
    /// The weights that are used: absent ones share what the others leave of 1. The error says why there are none.
    pub(super) fn settle(&self) -> Result<Vec<f32>, &'static str> {
        let given: Vec<f32> = self.given.iter().copied().flatten().collect();
        if given.is_empty() {
            return Ok(vec![equal_share(self.given.len()); self.given.len()]);
        }
        let sum: f64 = given.iter().copied().map(f64::from).sum();
        let absent = self.given.len() - given.len();
        if absent > 0 {
            let rest = 1.0 - sum;
            if rest < TOLERANCE {
                return Err("leave nothing for the inputs without a weight: give every input a weight");
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a handful")]
            let share = (rest / absent as f64) as f32;
            return Ok(self.given.iter().map(|weight| weight.unwrap_or(share)).collect());
        }
        if sum.abs() < TOLERANCE {
            return Err("must have weights that do not sum to 0");
        }
        if !self.normalize.unwrap_or(true) || sums_to_one(&given) {
            return Ok(given);
        }
        if sum < 0.0 {
            return Err("must have weights that sum to more than 0");
        }
        #[expect(clippy::cast_possible_truncation, reason = "back to what they were")]
        let scaled: Vec<f32> = given.iter().map(|weight| (f64::from(*weight) / sum) as f32).collect();
        let is_valid = scaled.iter().all(|weight| WEIGHTS.contains(weight));
        if is_valid { Ok(scaled) } else { Err("must have weights that do not nearly cancel each other") }
    }

    /// What is to be said if the weights that are used are not those that were given.
    #[expect(clippy::float_cmp, reason = "whether they are used as given")]
    pub(super) fn warning(&self, used: &[f32], list: &str) -> Option<Warning> {
        let changed = self.given.iter().zip(used).any(|(given, used)| given.is_some_and(|given| given != *used));
        let text = |weights: &[f32]| weights.iter().map(|weight| format!("{weight:.3}")).collect::<Vec<_>>().join(", ");
        changed.then(|| {
            let message = format!("the weights were scaled to {}, which sum to 1", text(used));
            Warning::new(WarningCode::ValueAdjusted, message).at(list)
        })
    }
}

/// Whether weights sum to 1, as far as they are written with a few digits.
pub(super) fn sums_to_one(weights: &[f32]) -> bool {
    (weights.iter().copied().map(f64::from).sum::<f64>() - 1.0).abs() <= TOLERANCE
}

/// Check the number of inputs and each weight that is given, and all of them together; `list` is the JSON pointer of the inputs.
pub(super) fn check_requested(requested: &RequestedWeights, list: &str, violations: &mut Violations) {
    check_weights(requested.given.iter().copied(), list, violations);
    if let Err(message) = requested.settle() {
        violations.add(list, message);
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
        let is_valid = weight.is_none_or(|weight| WEIGHTS.contains(&weight));
        violations.require(is_valid, format!("{list}/{i}/weight"), "must be -2 to 2");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(given: &[Option<f32>], normalize: Option<bool>) -> Result<Vec<f32>, &'static str> {
        RequestedWeights { given: given.to_vec(), normalize }.settle()
    }

    #[test]
    fn weights_are_taken_together() {
        assert_eq!(settle(&[None, None, None, None], None), Ok(vec![0.25; 4]));
        assert_eq!(settle(&[Some(1.0), Some(1.0)], None), Ok(vec![0.5, 0.5]));
        assert_eq!(settle(&[Some(2.0), Some(2.0)], None), Ok(vec![0.5, 0.5]));
        assert_eq!(settle(&[Some(1.0), Some(1.0)], Some(false)), Ok(vec![1.0, 1.0]), "unless they are to stay");
        assert_eq!(settle(&[Some(0.75), None], None), Ok(vec![0.75, 0.25]), "the rest");
        assert_eq!(settle(&[Some(1.5), Some(-0.5)], None), Ok(vec![1.5, -0.5]), "away from the second");
        assert!(settle(&[Some(0.333), Some(0.333), Some(0.333)], None).unwrap() == [0.333; 3]);
    }

    #[test]
    fn weights_that_mean_nothing_together_are_refused() {
        for given in [
            [Some(0.0), Some(0.0)],
            [Some(1.0), Some(-1.0)],
            [Some(-1.0), Some(-1.0)],
            [Some(1.0), None],
            [Some(2.0), Some(-1.9)],
        ] {
            assert!(settle(&given, None).is_err(), "{given:?}");
        }
        assert!(settle(&[Some(0.0), Some(0.0)], Some(false)).is_err());
    }
}
