//! The prior's sampler (Ramesh et al. 2022), diffusers' `UnCLIPScheduler`: DDPM whose posterior is that of the step
//! actually taken.

use super::defaults::ClassDefaults;
use super::info::{SamplerSetup, SchedulerInfo};
use super::posterior::{MIN_VARIANCE, Posterior};
use super::sampler::{Noise, Prediction, Sampler, Step};
use super::schedule::{Schedule, VarianceType};
use super::timesteps::even_points;

/// What unCLIP's priors are trained with.
pub static UNCLIP: SchedulerInfo = SchedulerInfo {
    name: "unclip",
    label: "unCLIP",
    class: "UnCLIPScheduler",
    selectable: false,
    karras: None,
    defaults: ClassDefaults {
        beta_schedule: "squaredcos_cap_v2",
        variance_type: "fixed_small_log",
        thresholds: false,
        ..ClassDefaults::DDPM_FAMILY
    },
    build: |setup| Box::new(UnClip::new(setup)),
};

struct UnClip {
    schedule: Schedule,
    steps: Vec<i64>,
    timesteps: Vec<f32>,
}

impl UnClip {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "timesteps are small")]
    fn new(SamplerSetup { schedule, steps, .. }: SamplerSetup) -> Self {
        let last = schedule.train_timesteps() - 1;
        let list = if steps == 1 {
            // The reference divides by zero here; one step goes from the noisiest timestep straight to x0.
            vec![last as i64]
        } else {
            even_points(last, steps)
        };
        Self { timesteps: list.iter().map(|&t| t as f32).collect(), steps: list, schedule }
    }
}

impl Sampler for UnClip {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn alpha_cumprod(&self, index: usize) -> f32 {
        self.schedule.alpha_cumprod(self.steps[index])
    }

    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], noise: Noise<'_>) -> Step {
        let t = self.steps[index];
        let previous = self.steps.get(index + 1).copied().unwrap_or(-1);
        let alpha = self.schedule.alpha_cumprod(t);
        let alpha_previous = self.schedule.alpha_cumprod(previous);
        let beta = if previous == t - 1 {
            self.schedule.betas[usize::try_from(t).unwrap_or(0)]
        } else {
            1.0 - alpha / alpha_previous
        };
        let posterior = Posterior::with_beta(alpha, alpha_previous, beta, 1.0 - beta);
        let mut original = self.schedule.original(prediction, sample, alpha);
        self.schedule.limit(&mut original);
        let mut next = posterior.mean(&original, sample);
        if t > 0 {
            let draw = noise(sample.len());
            let learned = prediction.variance.filter(|_| self.schedule.variance == VarianceType::LearnedRange);
            if let Some(logits) = learned {
                let (min_log, max_log) = (posterior.variance.ln(), beta.ln());
                for ((x, n), v) in next.iter_mut().zip(draw).zip(logits) {
                    let fraction = f32::midpoint(*v, 1.0);
                    *x += (0.5 * (fraction * max_log + (1.0 - fraction) * min_log)).exp() * n;
                }
            } else {
                let std = (0.5 * posterior.variance.max(MIN_VARIANCE).ln()).exp();
                next.iter_mut().zip(draw).for_each(|(x, n)| *x += std * n);
            }
        }
        Step { sample: next, original }
    }
}
