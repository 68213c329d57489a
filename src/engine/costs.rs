//! What steps cost, learned from the steps taken, and from it how many rows a step may have.
//!
//! Invariants: an estimate is above 0 for every key, also before the first measurement, so the planner can rely on it; a
//! cap is at least one row, and it never grows beyond what the device's memory holds or what takes too long for the others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::memory::Budget;
use super::planner::Costs;
use crate::diffusion::{BatchKey, StageInfo};

/// Rows of a step before anything is known of its key, at the size below.
const FIRST_ROWS: usize = 8;
/// Rows that no step exceeds.
const MOST_ROWS: usize = 64;
/// Latent area up to which a step may start with [`FIRST_ROWS`]: 256x256 px of the published model.
const FIRST_AREA: usize = 32 * 32;
/// Longest step, s: all other samples wait while it runs.
const LONGEST_STEP: f64 = 0.25;
/// Twice the rows must save this share of the time per row, or they are not worth the wait.
const WORTHWHILE: f64 = 0.03;
/// Weight of a new measurement.
const SMOOTHING: f64 = 0.2;
/// Steps after which a measurement that found larger batches no better is repeated: the machine may have been busy.
const STALE: u64 = 500;

/// Seconds per row of each key by the number of rows, smoothed.
#[derive(Debug)]
pub(super) struct MeasuredCosts {
    stages: &'static [StageInfo],
    keys: BTreeMap<BatchKey, KeyCosts>,
    budget: Budget,
    /// Whether samples step alone.
    alone: bool,
}

#[derive(Debug, Default)]
struct KeyCosts {
    steps: u64,
    /// By rows, rounded up to a power of two.
    by_rows: BTreeMap<usize, Measurement>,
}

#[derive(Debug, Clone, Copy)]
struct Measurement {
    seconds_per_row: f64,
    at_step: u64,
}

impl KeyCosts {
    fn record(&mut self, rows: usize, seconds_per_row: f64) {
        self.steps += 1;
        let at_step = self.steps;
        let size = rows.max(1).next_power_of_two();
        match self.by_rows.get_mut(&size) {
            Some(sample) if at_step - sample.at_step < STALE => {
                sample.seconds_per_row += SMOOTHING * (seconds_per_row - sample.seconds_per_row);
                sample.at_step = at_step;
            }
            _ => {
                self.by_rows.insert(size, Measurement { seconds_per_row, at_step });
            }
        }
    }

    /// Seconds per row of a step of so many rows: as measured, else as measured for the nearest number of rows.
    fn seconds_per_row(&self, rows: usize) -> Option<f64> {
        let size = rows.max(1).next_power_of_two();
        let below = self.by_rows.range(..=size).next_back();
        below.or_else(|| self.by_rows.range(size..).next()).map(|(_, sample)| sample.seconds_per_row)
    }

    /// Whether steps of `rows` were found to be no better than steps of half as many.
    fn is_no_better(&self, rows: usize) -> bool {
        let (Some(half), Some(full)) = (self.by_rows.get(&(rows / 2)), self.by_rows.get(&rows)) else { return false };
        let fresh = self.steps - full.at_step < STALE;
        fresh && full.seconds_per_row > half.seconds_per_row * (1.0 - WORTHWHILE)
    }

    /// Rows at which growing stops paying, starting from `first`: powers of two.
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    fn cap(&self, first: usize, most: usize) -> usize {
        let long = |rows: usize| self.seconds_per_row(rows).is_some_and(|seconds| seconds * rows as f64 > LONGEST_STEP);
        let mut rows = first.next_power_of_two().min(most.max(1));
        while rows > 1 && long(rows) {
            rows /= 2;
        }
        // One size beyond what was measured at the most, so that there is at most one untested doubling.
        while 2 * rows <= most && self.by_rows.contains_key(&rows) && !long(2 * rows) && !self.is_no_better(2 * rows) {
            rows *= 2;
        }
        rows.max(1)
    }
}

/// Rows of a step before anything is known of latents of this area.
fn first_rows(area: usize) -> usize {
    // Activations grow with the latents.
    (FIRST_ROWS * FIRST_AREA / area.max(1)).clamp(1, FIRST_ROWS)
}

/// The cap that a worker comes to, of at most `most` rows of latents of this area, where steps take these seconds by their rows.
#[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
pub(crate) fn settled_cap(area: usize, most: usize, seconds: impl Fn(usize) -> f64) -> usize {
    let mut costs = KeyCosts::default();
    for rows in (0..).map(|power| 1 << power).take_while(|rows| *rows <= MOST_ROWS) {
        costs.record(rows, seconds(rows) / rows as f64);
    }
    costs.cap(first_rows(area), most)
}

impl MeasuredCosts {
    /// Of a model with these stages, on a device of which nothing is measured. Without `batching` samples step alone.
    pub(super) fn new(stages: &'static [StageInfo], budget: Budget, batching: bool) -> Self {
        Self { stages, keys: BTreeMap::new(), budget, alone: !batching }
    }

    /// Record that a batch took this long.
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    pub(super) fn record(&mut self, key: BatchKey, rows: usize, took: Duration) {
        self.keys.entry(key).or_default().record(rows, took.as_secs_f64() / rows.max(1) as f64);
    }
}

impl Costs<BatchKey> for MeasuredCosts {
    fn cap(&self, key: BatchKey) -> usize {
        let Some(stage) = self.stages.get(key.stage).filter(|stage| stage.batchable && !self.alone) else { return 1 };
        let most = MOST_ROWS.min(self.budget.rows(stage.memory.bytes(key)));
        let first = first_rows(key.height * key.width);
        match self.keys.get(&key) {
            Some(measured) => measured.cap(first, most),
            None => first.min(most),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a handful of rows, latent sizes")]
    fn cost(&self, key: BatchKey, rows: usize) -> f64 {
        // Before the first measurement: in proportion to the latents, in seconds of a small model.
        let guess = 1e-5 * (key.height * key.width).max(64) as f64;
        let measured = self.keys.get(&key).and_then(|measured| measured.seconds_per_row(rows));
        rows.max(1) as f64 * measured.unwrap_or(guess).max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::RowMemory;

    static STAGES: [StageInfo; 2] = {
        let denoising = StageInfo {
            id: "denoising",
            title: "denoising",
            progress: (0.0, 100.0),
            batchable: true,
            exclusive: false,
            denoises: true,
            memory: RowMemory::PerLatent(64 << 10),
        };
        [denoising, StageInfo { batchable: false, ..denoising }]
    };

    const DENOISING: BatchKey = BatchKey { stage: 0, network: 0, height: 16, width: 16 };

    fn costs() -> MeasuredCosts {
        MeasuredCosts::new(&STAGES, Budget::default(), true)
    }

    /// Steps of the largest size allowed, each taking `seconds(rows)`; the cap in the end.
    fn settle(costs: &mut MeasuredCosts, steps: usize, seconds: impl Fn(usize) -> f64) -> usize {
        for _ in 0..steps {
            let rows = costs.cap(DENOISING);
            costs.record(DENOISING, rows, Duration::from_secs_f64(seconds(rows)));
        }
        costs.cap(DENOISING)
    }

    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    fn rows(rows: usize) -> f64 {
        rows as f64
    }

    #[test]
    fn batches_grow_while_that_saves_time() {
        // A step has a fixed cost of 4 ms, and a row costs 1 ms: 64 rows are the best of all.
        assert_eq!(settle(&mut costs(), 20, |n| 0.004 + 0.001 * rows(n)), MOST_ROWS);
        // A row costs 1 ms whatever the batch.
        assert_eq!(settle(&mut costs(), 20, |n| 0.001 * rows(n)), FIRST_ROWS);
        // Beyond 16 rows a row costs as much as before.
        let stairs = |n: usize| if n <= 16 { 0.004 + 0.001 * rows(n) } else { 0.002 * rows(n) };
        assert_eq!(settle(&mut costs(), 20, stairs), 16);
    }

    #[test]
    fn a_step_that_takes_too_long_shrinks_to_what_does_not() {
        assert_eq!(settle(&mut costs(), 20, |n| 0.1 * rows(n)), 2);
        assert_eq!(settle(&mut costs(), 20, |n| 10.0 * rows(n)), 1);
        // 30 ms a row: 8 rows take 240 ms, 16 would take 480.
        assert_eq!(settle(&mut costs(), 20, |n| 0.1 + 0.0175 * rows(n)), 8);
    }

    #[test]
    fn memory_caps_what_time_would_allow() {
        // 16x16 latents are 16 MiB a row: 3/4 of 256 MiB hold 12 rows, 8 as a power of two.
        let mut costs = MeasuredCosts::new(&STAGES, Budget::of_free(256 << 20), true);
        assert_eq!(settle(&mut costs, 20, |n| 0.004 + 0.001 * rows(n)), 8);
        let mut costs = MeasuredCosts::new(&STAGES, Budget::of_free(1 << 20), true);
        assert_eq!(settle(&mut costs, 20, |n| 0.001 * rows(n)), 1);
    }

    #[test]
    fn a_verdict_that_is_old_is_tried_again() {
        let mut costs = costs();
        // Something else kept the machine busy when 16 rows were tried.
        let busy = settle(&mut costs, 2, |n| if n > 8 { 0.1 } else { 0.004 + 0.001 * rows(n) });
        assert_eq!(busy, FIRST_ROWS);
        let steps = usize::try_from(STALE).unwrap() + 20;
        assert_eq!(settle(&mut costs, steps, |n| 0.004 + 0.001 * rows(n)), MOST_ROWS);
    }

    #[test]
    fn large_images_start_small_and_costs_are_known_before_they_are_measured() {
        let costs = costs();
        let large = BatchKey { height: 128, width: 128, ..DENOISING };
        assert_eq!(costs.cap(large), 1);
        assert!(costs.cost(large, 2) > costs.cost(DENOISING, 2) && costs.cost(DENOISING, 1) > 0.0);
    }

    #[test]
    fn stages_that_are_not_batched_and_workers_that_do_not_batch_step_samples_alone() {
        assert_eq!(costs().cap(BatchKey { stage: 1, ..DENOISING }), 1);
        assert_eq!(MeasuredCosts::new(&STAGES, Budget::default(), false).cap(DENOISING), 1);
    }
}
