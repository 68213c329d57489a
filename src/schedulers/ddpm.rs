//! Ancestral sampling (Ho et al. 2020, arXiv 2006.11239) with fixed or learned-range variance (Nichol & Dhariwal 2021),
//! diffusers' `DDPMScheduler`.

use super::defaults::ClassDefaults;
use super::info::{SamplerSetup, SchedulerInfo};
use super::posterior::{MIN_VARIANCE, Posterior};
use super::sampler::{Noise, Prediction, Sampler, Step};
use super::schedule::{Schedule, Spacing, VarianceType};
use super::timesteps::discrete_timesteps;

/// Ancestral sampling.
pub static DDPM: SchedulerInfo = SchedulerInfo {
    name: "ddpm",
    label: "DDPM",
    class: "DDPMScheduler",
    selectable: true,
    karras: None,
    defaults: ClassDefaults::DDPM_FAMILY,
    build: |setup| Box::new(Ddpm::new(setup)),
};

struct Ddpm {
    schedule: Schedule,
    steps: Vec<i64>,
    timesteps: Vec<f32>,
    stride: i64,
}

impl Ddpm {
    #[expect(clippy::cast_possible_wrap, clippy::cast_precision_loss, reason = "timesteps are small")]
    fn new(SamplerSetup { schedule, steps, .. }: SamplerSetup) -> Self {
        let list = discrete_timesteps(&schedule, steps);
        Self {
            stride: (schedule.train_timesteps() / steps) as i64,
            timesteps: list.iter().map(|&t| t as f32).collect(),
            steps: list,
            schedule,
        }
    }
}

impl Ddpm {
    /// Whether this step goes all the way from much noise to the clean sample, as the last of evenly spread steps does. Its
    /// posterior has no variance, but the learned range reaches up to beta, which is all the noise that the step takes away.
    /// Schedules of the reference end next to the clean sample, where beta is small.
    fn ends_at(&self, index: usize) -> bool {
        self.schedule.spacing == Spacing::Trailing && index + 1 == self.steps.len()
    }
}

impl Sampler for Ddpm {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn alpha_cumprod(&self, index: usize) -> f32 {
        self.schedule.alpha_cumprod(self.steps[index])
    }

    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], noise: Noise<'_>) -> Step {
        let t = self.steps[index];
        let alpha = self.schedule.alpha_cumprod(t);
        let posterior = Posterior::new(alpha, self.schedule.alpha_cumprod(t - self.stride));
        let mut original = self.schedule.original(prediction, sample, alpha);
        self.schedule.limit(&mut original);
        let mut next = posterior.mean(&original, sample);
        if t > 0 && !self.ends_at(index) {
            let draw = noise(sample.len());
            let clamped = posterior.variance.max(MIN_VARIANCE);
            match (self.schedule.variance, prediction.variance) {
                (VarianceType::LearnedRange, Some(logits)) => {
                    let (min_log, max_log) = (clamped.ln(), posterior.beta.ln());
                    for ((x, n), v) in next.iter_mut().zip(draw).zip(logits) {
                        let fraction = f32::midpoint(*v, 1.0);
                        let log = fraction * max_log + (1.0 - fraction) * min_log;
                        *x += (0.5 * log).exp() * n;
                    }
                }
                (kind, _) => {
                    let std = match kind {
                        VarianceType::FixedLarge => posterior.beta.sqrt(),
                        _ => clamped.sqrt(),
                    };
                    next.iter_mut().zip(draw).for_each(|(x, n)| *x += std * n);
                }
            }
        }
        Step { sample: next, original }
    }
}
