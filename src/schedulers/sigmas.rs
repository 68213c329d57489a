//! Noise levels `sigma = sqrt((1 - a) / a)`: of the training timesteps, of Karras et al. 2022, and the lists that samplers
//! walk through.
//!
//! Invariant: sigmas fall, and end at 0.

use std::borrow::Cow;

use super::sampler::Prediction;
use super::schedule::{PredictionType, Schedule, Spacing};
use super::timesteps::{euler_timesteps, multistep_timesteps};

/// Timesteps and their sigmas, on the variance-exploding scale of the Euler samplers: the network's input must be scaled.
pub(super) struct SigmaSchedule {
    pub(super) schedule: Schedule,
    pub(super) timesteps: Vec<f32>,
    /// One more than timesteps; the last is 0.
    pub(super) sigmas: Vec<f32>,
    /// Whether they follow Karras et al.
    pub(super) karras: bool,
}

impl SigmaSchedule {
    #[expect(clippy::cast_possible_truncation, reason = "tables are f32")]
    pub(super) fn new(schedule: Schedule, steps: usize, karras: bool) -> Self {
        let table = schedule.sigmas();
        let mut timesteps = euler_timesteps(&schedule, steps);
        let mut sigmas: Vec<f64> = timesteps.iter().map(|&t| interpolate(&table, t)).collect();
        if karras {
            sigmas = karras_sigmas(sigmas[steps - 1], sigmas[0], steps);
            timesteps = sigmas.iter().map(|&s| sigma_to_timestep(&table, s)).collect();
        }
        sigmas.push(0.0);
        Self {
            schedule,
            timesteps: timesteps.into_iter().map(|t| t as f32).collect(),
            sigmas: sigmas.into_iter().map(|s| s as f32).collect(),
            karras,
        }
    }

    pub(super) fn init_noise_sigma(&self) -> f32 {
        let max = self.sigmas[0];
        match self.schedule.spacing {
            Spacing::Linspace | Spacing::Trailing => max,
            Spacing::Leading => (max * max + 1.0).sqrt(),
        }
    }

    pub(super) fn scale(&self, index: usize) -> f32 {
        let sigma = self.sigmas[index];
        (sigma * sigma + 1.0).sqrt()
    }

    pub(super) fn alpha_cumprod(&self, index: usize) -> f32 {
        Point::new(self.sigmas[index]).alpha_cumprod()
    }

    pub(super) fn scale_input<'a>(&self, index: usize, sample: &'a [f32]) -> Cow<'a, [f32]> {
        let scale = self.scale(index);
        Cow::Owned(sample.iter().map(|x| x / scale).collect())
    }

    pub(super) fn original(&self, index: usize, prediction: Prediction<'_>, sample: &[f32]) -> Vec<f32> {
        let sigma = self.sigmas[index];
        let pairs = prediction.mean.iter().zip(sample);
        match self.schedule.prediction {
            PredictionType::Epsilon => pairs.map(|(e, x)| x - sigma * e).collect(),
            PredictionType::Sample => prediction.mean.to_vec(),
            PredictionType::Velocity => {
                let total = sigma * sigma + 1.0;
                pairs.map(|(v, x)| v * (-sigma / total.sqrt()) + x / total).collect()
            }
        }
    }
}

/// Timesteps and sigmas (with the final 0) of the multistep solvers.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "timesteps are small, tables f32")]
pub(super) fn multistep_sigmas(schedule: &Schedule, steps: usize, karras: bool) -> (Vec<f32>, Vec<f32>) {
    let table = schedule.sigmas();
    let (timesteps, mut sigmas): (Vec<f32>, Vec<f32>) = if karras {
        karras_sigmas(table[0], table[table.len() - 1], steps)
            .into_iter()
            .map(|s| (sigma_to_timestep(&table, s).round_ties_even() as f32, s as f32))
            .unzip()
    } else {
        multistep_timesteps(schedule, steps)
            .into_iter()
            .map(|t| (t as f32, interpolate(&table, t as f64) as f32))
            .unzip()
    };
    sigmas.push(0.0);
    (timesteps, sigmas)
}

/// A point of the schedule in the solvers' terms.
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) alpha: f32,
    pub(super) sigma: f32,
    /// Half the log signal-to-noise ratio; infinite at the clean end.
    pub(super) lambda: f32,
}

impl Point {
    pub(super) fn new(sigma: f32) -> Self {
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        let sigma = sigma * alpha;
        Self { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }

    /// The cumulative alpha that this point stands for.
    pub(super) fn alpha_cumprod(self) -> f32 {
        self.alpha * self.alpha
    }
}

/// Linear interpolation of the table `values` at a real-valued index.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an index within the table"
)]
pub(super) fn interpolate(values: &[f64], at: f64) -> f64 {
    let at = at.clamp(0.0, (values.len() - 1) as f64);
    let low = at.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    values[low] + (values[high] - values[low]) * (at - low as f64)
}

/// Karras et al. 2022, eq. 5, rho 7: `count` sigmas from `max` down to `min`.
#[expect(clippy::cast_precision_loss, reason = "counts of steps")]
pub(super) fn karras_sigmas(min: f64, max: f64, count: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (low, high) = (min.powf(1.0 / RHO), max.powf(1.0 / RHO));
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| (high + i as f64 / last * (low - high)).powf(RHO)).collect()
}

/// The real-valued timestep whose sigma is `sigma`, by interpolation of log-sigmas (`ascending`).
#[expect(clippy::cast_precision_loss, reason = "timesteps are small")]
pub(super) fn sigma_to_timestep(ascending: &[f64], sigma: f64) -> f64 {
    let log = sigma.max(1e-10).ln();
    let low = ascending.partition_point(|s| s.ln() <= log).saturating_sub(1).min(ascending.len().saturating_sub(2));
    let (a, b) = (ascending[low].ln(), ascending[low + 1].ln());
    let w = ((a - log) / (a - b)).clamp(0.0, 1.0);
    (1.0 - w) * low as f64 + w * (low + 1) as f64
}
