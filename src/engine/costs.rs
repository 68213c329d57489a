//! What steps cost, learned from the steps taken.
//!
//! Invariant: an estimate is above 0 for every key, also before the first measurement, so the planner can rely on it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::planner::Costs;
use crate::model::{Key, Stage};

/// Rows of one prior or decoder step.
const STEP_ROWS: usize = 16;
/// Latent area up to which a step may have all of them: 512x512 px of the published model.
const FULL_AREA: usize = 64 * 64;
/// Weight of a new measurement.
const SMOOTHING: f64 = 0.2;

/// Seconds per row of each key, smoothed.
#[derive(Debug, Default)]
pub(super) struct MeasuredCosts {
    seconds_per_row: BTreeMap<Key, f64>,
}

impl MeasuredCosts {
    /// Note that a batch took this long.
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    pub(super) fn note(&mut self, key: Key, rows: usize, took: Duration) {
        let measured = took.as_secs_f64() / rows.max(1) as f64;
        self.seconds_per_row.entry(key).and_modify(|s| *s += SMOOTHING * (measured - *s)).or_insert(measured);
    }
}

impl Costs<Key> for MeasuredCosts {
    fn cap(&self, key: Key) -> usize {
        match key.stage {
            // At full size a decoder's activations are large, and others wait while it runs.
            Stage::Decode => 1,
            Stage::Prior => STEP_ROWS,
            // Activations grow with the latents.
            Stage::Decoder => (STEP_ROWS * FULL_AREA / (key.height * key.width).max(1)).clamp(1, STEP_ROWS),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a handful of rows, latent sizes")]
    fn cost(&self, key: Key, rows: usize) -> f64 {
        // Before the first measurement: in proportion to the latents, in seconds of a small model.
        let guess = 1e-5 * (key.height * key.width).max(64) as f64;
        rows.max(1) as f64 * self.seconds_per_row.get(&key).copied().unwrap_or(guess).max(1e-9)
    }
}
