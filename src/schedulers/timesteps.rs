//! Which timesteps a sampler visits, for each way of spacing them.
//!
//! Invariant: the same roundings as the reference's (ties go to even): a list that is off by one changes the image.

use super::schedule::{Schedule, Spacing};

/// Integer timesteps of the discrete samplers (DDIM, DDPM), descending.
#[expect(clippy::cast_possible_wrap, reason = "counts of timesteps")]
pub(super) fn discrete_timesteps(schedule: &Schedule, steps: usize) -> Vec<i64> {
    let total = schedule.train_timesteps();
    let last = total as i64 - 1;
    let list: Vec<i64> = match schedule.spacing {
        Spacing::Leading => {
            let ratio = (total / steps) as i64;
            (0..steps as i64).rev().map(|i| i * ratio + schedule.steps_offset).collect()
        }
        Spacing::Linspace => even_points(total - 1, steps),
        Spacing::Trailing => trailing(total, steps),
    };
    list.into_iter().map(|t| t.clamp(0, last)).collect()
}

/// Integer timesteps of the multistep solvers: `steps + 1` points of which the last is dropped.
#[expect(clippy::cast_possible_wrap, reason = "counts of timesteps")]
pub(super) fn multistep_timesteps(schedule: &Schedule, steps: usize) -> Vec<i64> {
    let total = schedule.train_timesteps();
    let last = total as i64 - 1;
    let list: Vec<i64> = match schedule.spacing {
        Spacing::Linspace => {
            let mut points = even_points(total - 1, steps + 1);
            points.pop();
            points
        }
        Spacing::Leading => {
            let ratio = (total / (steps + 1)) as i64;
            (1..=steps as i64).rev().map(|i| i * ratio + schedule.steps_offset).collect()
        }
        Spacing::Trailing => trailing(total, steps),
    };
    list.into_iter().map(|t| t.clamp(0, last)).collect()
}

/// Real-valued timesteps of the Euler samplers, descending.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "timesteps are small")]
pub(super) fn euler_timesteps(schedule: &Schedule, steps: usize) -> Vec<f64> {
    let total = schedule.train_timesteps();
    match schedule.spacing {
        // `numpy.linspace` gives 0 for one point; sampling has to start at the noise.
        Spacing::Linspace if steps == 1 => vec![(total - 1) as f64],
        Spacing::Linspace => {
            let span = (total - 1) as f64;
            (0..steps).rev().map(|i| span * i as f64 / (steps - 1) as f64).collect()
        }
        Spacing::Leading => {
            let ratio = (total / steps) as i64;
            (0..steps as i64).rev().map(|i| (i * ratio + schedule.steps_offset) as f64).collect()
        }
        Spacing::Trailing => trailing(total, steps).into_iter().map(|t| t as f64).collect(),
    }
}

/// `count` points from `last` down to 0, rounded half to even. One point alone is 0, as `numpy.linspace` gives it.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "timesteps are small")]
pub(super) fn even_points(last: usize, count: usize) -> Vec<i64> {
    let step = if count > 1 { last as f64 / (count - 1) as f64 } else { 0.0 };
    (0..count).rev().map(|i| (i as f64 * step).round_ties_even() as i64).collect()
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "timesteps are small")]
fn trailing(total: usize, steps: usize) -> Vec<i64> {
    let ratio = total as f64 / steps as f64;
    (0..steps).map(|i| (total as f64 - i as f64 * ratio).round_ties_even() as i64 - 1).collect()
}
