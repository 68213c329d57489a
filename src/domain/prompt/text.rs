//! A text and how much its parts count.
//!
//! Invariant: parts that count once are not listed, so that a text whose weights are all 1 equals the plain one.

use std::ops::Range;

/// Weights are kept in thousandths, so that equal texts are equal keys.
const UNIT: u16 = 1000;

/// A text as encoders read it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PromptText {
    text: String,
    /// Ranges of bytes that do not count once, in order and apart, with their weight in thousandths.
    weights: Vec<(Range<usize>, u16)>,
}

impl PromptText {
    /// Most that a part can count.
    pub const MAX_WEIGHT: f64 = 10.0;

    /// A text of which all parts count once.
    pub(super) fn unweighted(text: String) -> Self {
        Self { text, weights: Vec::new() }
    }

    /// The text without its syntax.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all parts count once.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.weights.is_empty()
    }

    /// How often the character at a byte counts.
    #[must_use]
    pub fn weight_at(&self, byte: usize) -> f32 {
        let found = self.weights.iter().find(|(range, _)| range.contains(&byte));
        f32::from(found.map_or(UNIT, |(_, weight)| *weight)) / f32::from(UNIT)
    }

    /// The texts one after the other, divided by `separator`.
    #[must_use]
    pub fn join(texts: &[Self], separator: &str) -> Self {
        let mut joined = Self::default();
        for (i, text) in texts.iter().enumerate() {
            if i > 0 {
                joined.text.push_str(separator);
            }
            let start = joined.text.len();
            joined.weights.extend(text.weights.iter().map(|(range, w)| (range.start + start..range.end + start, *w)));
            joined.text.push_str(&text.text);
        }
        joined
    }

    /// Add a part that counts `weight` times, at most [`Self::MAX_WEIGHT`] and at least 0.
    pub(super) fn push(&mut self, part: &str, weight: f64) {
        if part.is_empty() {
            return;
        }
        let start = self.text.len();
        self.text.push_str(part);
        let weight = if weight.is_nan() { 1.0 } else { weight.clamp(0.0, Self::MAX_WEIGHT) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10 000")]
        let weight = (weight * f64::from(UNIT)).round() as u16;
        match self.weights.last_mut() {
            _ if weight == UNIT => {}
            Some((range, last)) if range.end == start && *last == weight => range.end = self.text.len(),
            _ => self.weights.push((start..self.text.len(), weight)),
        }
    }
}
