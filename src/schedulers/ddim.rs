//! DDIM (Song et al. 2020, arXiv 2010.02502), diffusers' `DDIMScheduler`: the published decoder's own sampler.

use super::defaults::ClassDefaults;
use super::info::{SamplerOptions, SamplerSetup, SchedulerInfo};
use super::sampler::{Noise, Prediction, Sampler, Step};
use super::schedule::{PredictionType, Schedule};
use super::timesteps::discrete_timesteps;

pub(super) static DDIM: SchedulerInfo = SchedulerInfo {
    name: "ddim",
    label: "DDIM",
    class: "DDIMScheduler",
    selectable: true,
    karras: None,
    defaults: ClassDefaults::DDPM_FAMILY,
    build: |setup| Box::new(Ddim::new(setup)),
};

struct Ddim {
    schedule: Schedule,
    steps: Vec<i64>,
    timesteps: Vec<f32>,
    stride: i64,
    options: SamplerOptions,
}

impl Ddim {
    #[expect(clippy::cast_possible_wrap, clippy::cast_precision_loss, reason = "timesteps are small")]
    fn new(SamplerSetup { schedule, steps, options, .. }: SamplerSetup) -> Self {
        let list = discrete_timesteps(&schedule, steps);
        Self {
            stride: (schedule.train_timesteps() / steps) as i64,
            timesteps: list.iter().map(|&t| t as f32).collect(),
            steps: list,
            schedule,
            options,
        }
    }
}

impl Sampler for Ddim {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn alpha_cumprod(&self, index: usize) -> f32 {
        self.schedule.alpha_cumprod(self.steps[index])
    }

    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], noise: Noise<'_>) -> Step {
        let t = self.steps[index];
        let previous = t - self.stride;
        let alpha = self.schedule.alpha_cumprod(t);
        let alpha_previous = if previous < 0 && !self.schedule.set_alpha_to_one {
            self.schedule.alphas_cumprod[0]
        } else {
            self.schedule.alpha_cumprod(previous)
        };
        let beta = 1.0 - alpha;
        let unclipped = self.schedule.original(prediction, sample, alpha);
        let mut original = unclipped.clone();
        self.schedule.limit(&mut original);

        let basis = if self.options.use_clipped_model_output { &original } else { &unclipped };
        let (sqrt_alpha, sqrt_beta) = (alpha.sqrt(), beta.sqrt());
        let epsilon = |i: usize| {
            if self.schedule.prediction == PredictionType::Epsilon && !self.options.use_clipped_model_output {
                prediction.mean[i]
            } else {
                (sample[i] - sqrt_alpha * basis[i]) / sqrt_beta
            }
        };

        let variance = (1.0 - alpha_previous) / beta * (1.0 - alpha / alpha_previous);
        let std = self.options.eta * variance.sqrt();
        let direction = (1.0 - alpha_previous - std * std).max(0.0).sqrt();
        let mut next: Vec<f32> =
            (0..sample.len()).map(|i| alpha_previous.sqrt() * original[i] + direction * epsilon(i)).collect();
        if self.options.eta > 0.0 {
            for (x, n) in next.iter_mut().zip(noise(sample.len())) {
                *x += std * n;
            }
        }
        Step { sample: next, original }
    }
}
