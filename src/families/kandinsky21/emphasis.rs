//! What the weights of a prompt do to its encoding.
//!
//! A token of weight w counts as if it stood w times at its place: while a text is encoded, each token attends to it w times
//! as much (log w is added to the scores; for whole numbers this is the same as w copies of its key and value), and where an
//! encoding is the mean of its tokens, it enters that mean w times. The states that the prior and the decoder attend to are then
//! multiplied by the weights, as AUTOMATIC1111's web UI does, and scaled so that all of them together are as large as before.
//!
//! Invariant: a text without weights takes the way that it always took, bit for bit.

use candle_core::Tensor;

use super::tokenizer::Tokens;
use crate::tensor::error::Result;
use crate::tensor::{self, Compute};

/// The weights of each text's tokens; `None`: no text has any.
pub(super) fn rows(texts: &[Tokens]) -> Option<Vec<Vec<f32>>> {
    let all = || texts.iter().map(|text| text.weights.clone().unwrap_or_else(|| vec![1.0; text.ids.len()]));
    texts.iter().any(|text| text.weights.is_some()).then(|| all().collect())
}

/// What is added to the scores of a token of this weight.
pub(super) fn score(weight: f32) -> f32 {
    if weight > 0.0 { weight.ln() } else { f32::NEG_INFINITY }
}

/// States `[tokens, width]` of one text, each multiplied by its token's weight, with the root mean square of all kept.
pub(super) fn weigh(compute: &Compute, states: Tensor, weights: Option<&[f32]>) -> Result<Tensor> {
    let Some(weights) = weights else { return Ok(states) };
    let (tokens, width) = states.dims2()?;
    let mut values = tensor::to_vec(&states)?;
    let before = energy(&values);
    for (state, weight) in values.chunks_mut(width).zip(weights) {
        for x in state {
            *x *= weight;
        }
    }
    let after = energy(&values);
    #[expect(clippy::cast_possible_truncation, reason = "a factor near 1")]
    let factor = if after > 0.0 { (before / after).sqrt() as f32 } else { 1.0 };
    for x in &mut values {
        *x *= factor;
    }
    compute.tensor(values, &[tokens, width])
}

fn energy(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}
