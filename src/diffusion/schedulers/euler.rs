//! Euler's method on the probability-flow ODE (Karras et al. 2022), diffusers' `EulerDiscreteScheduler`.
//!
//! Samples live on the variance-exploding scale here, so the network's input must be scaled at every step.

use std::borrow::Cow;

use crate::diffusion::schedulers::schedule::{self, PredictionType, Schedule, Spacing};
use crate::diffusion::schedulers::{Noise, Prediction, Sampler, Step};

/// Timesteps and sigmas shared by the two Euler samplers.
pub(crate) struct Ladder {
    pub(crate) schedule: Schedule,
    pub(crate) timesteps: Vec<f32>,
    /// One more than timesteps; the last is 0.
    pub(crate) sigmas: Vec<f32>,
}

impl Ladder {
    #[expect(clippy::cast_possible_truncation, reason = "tables are f32")]
    pub(crate) fn new(schedule: Schedule, steps: usize, karras: bool) -> Self {
        let table = schedule.sigmas();
        let mut timesteps = schedule::euler_timesteps(&schedule, steps);
        let mut sigmas: Vec<f64> = timesteps.iter().map(|&t| schedule::interpolate(&table, t)).collect();
        if karras {
            sigmas = schedule::karras_sigmas(sigmas[steps - 1], sigmas[0], steps);
            timesteps = sigmas.iter().map(|&s| schedule::sigma_to_timestep(&table, s)).collect();
        }
        sigmas.push(0.0);
        Self {
            schedule,
            timesteps: timesteps.into_iter().map(|t| t as f32).collect(),
            sigmas: sigmas.into_iter().map(|s| s as f32).collect(),
        }
    }

    pub(crate) fn init_noise_sigma(&self) -> f32 {
        let max = self.sigmas[0];
        match self.schedule.spacing {
            Spacing::Linspace | Spacing::Trailing => max,
            Spacing::Leading => (max * max + 1.0).sqrt(),
        }
    }

    pub(crate) fn scale(&self, index: usize) -> f32 {
        let sigma = self.sigmas[index];
        (sigma * sigma + 1.0).sqrt()
    }

    pub(crate) fn scale_input<'a>(&self, index: usize, sample: &'a [f32]) -> Cow<'a, [f32]> {
        let scale = self.scale(index);
        Cow::Owned(sample.iter().map(|x| x / scale).collect())
    }

    pub(crate) fn original(&self, index: usize, prediction: Prediction<'_>, sample: &[f32]) -> Vec<f32> {
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

pub(crate) struct Euler(Ladder);

impl Euler {
    pub(crate) fn new(schedule: Schedule, steps: usize, karras: bool) -> Self {
        Self(Ladder::new(schedule, steps, karras))
    }
}

impl Sampler for Euler {
    fn timesteps(&self) -> &[f32] {
        &self.0.timesteps
    }

    fn sigmas(&self) -> &[f32] {
        &self.0.sigmas
    }

    fn init_noise_sigma(&self) -> f32 {
        self.0.init_noise_sigma()
    }

    fn scale_input<'a>(&self, index: usize, sample: &'a [f32]) -> Cow<'a, [f32]> {
        self.0.scale_input(index, sample)
    }

    fn variance_preserving_scale(&self, index: usize) -> f32 {
        self.0.scale(index)
    }

    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], _noise: Noise<'_>) -> Step {
        let original = self.0.original(index, prediction, sample);
        let sigma = self.0.sigmas[index];
        let change = self.0.sigmas[index + 1] - sigma;
        let sample = sample.iter().zip(&original).map(|(x, x0)| x + (x - x0) / sigma * change).collect();
        Step { sample, original }
    }
}
