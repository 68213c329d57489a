//! Ancestral sampling (Ho et al. 2020, arXiv 2006.11239) with fixed or learned-range variance (Nichol & Dhariwal 2021),
//! diffusers' `DDPMScheduler`.

use crate::diffusion::schedulers::schedule::{self, Schedule, VarianceType};
use crate::diffusion::schedulers::{Noise, Prediction, Sampler, Step};

/// Variances are kept above this, since their logarithm is taken.
pub(crate) const MIN_VARIANCE: f32 = 1e-20;

pub(crate) struct Ddpm {
    schedule: Schedule,
    steps: Vec<i64>,
    timesteps: Vec<f32>,
    stride: i64,
}

impl Ddpm {
    #[expect(clippy::cast_possible_wrap, clippy::cast_precision_loss, reason = "timesteps are small")]
    pub(crate) fn new(schedule: Schedule, steps: usize) -> Self {
        let list = schedule::discrete_timesteps(&schedule, steps);
        Self {
            stride: (schedule.train_timesteps() / steps) as i64,
            timesteps: list.iter().map(|&t| t as f32).collect(),
            steps: list,
            schedule,
        }
    }
}

impl Sampler for Ddpm {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], noise: Noise<'_>) -> Step {
        let t = self.steps[index];
        let alpha = self.schedule.alpha_cumprod(t);
        let posterior = Posterior::new(alpha, self.schedule.alpha_cumprod(t - self.stride));
        let mut original = self.schedule.original(prediction, sample, alpha);
        self.schedule.limit(&mut original);
        let mut next = posterior.mean(&original, sample);
        if t > 0 {
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

/// The posterior q(x_prev | x_t, x0) between two cumulative alphas (Ho et al. 2020, eq. 6 and 7).
pub(crate) struct Posterior {
    pub(crate) beta: f32,
    pub(crate) variance: f32,
    original: f32,
    current: f32,
}

impl Posterior {
    pub(crate) fn new(alpha: f32, alpha_previous: f32) -> Self {
        let step_alpha = alpha / alpha_previous;
        let beta = 1.0 - step_alpha;
        Self::with_beta(alpha, alpha_previous, beta, 1.0 - beta)
    }

    pub(crate) fn with_beta(alpha: f32, alpha_previous: f32, beta: f32, step_alpha: f32) -> Self {
        let (rest, rest_previous) = (1.0 - alpha, 1.0 - alpha_previous);
        Self {
            beta,
            variance: rest_previous / rest * beta,
            original: alpha_previous.sqrt() * beta / rest,
            current: step_alpha.sqrt() * rest_previous / rest,
        }
    }

    pub(crate) fn mean(&self, original: &[f32], sample: &[f32]) -> Vec<f32> {
        original.iter().zip(sample).map(|(x0, x)| self.original * x0 + self.current * x).collect()
    }
}
