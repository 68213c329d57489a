//! DPM-Solver++ of second order, multistep (Lu et al. 2022, arXiv 2211.01095), diffusers'
//! `DPMSolverMultistepScheduler` with `algorithm_type: dpmsolver++` and `solver_type: midpoint`.

use crate::diffusion::schedulers::schedule::{self, Schedule};
use crate::diffusion::schedulers::{Noise, Prediction, Sampler, Step};

pub(crate) struct Dpmpp2m {
    schedule: Schedule,
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    /// x0 of the step before, once there is one.
    history: Option<Vec<f32>>,
}

impl Dpmpp2m {
    pub(crate) fn new(schedule: Schedule, steps: usize, karras: bool) -> Self {
        let (timesteps, sigmas) = multistep_sigmas(&schedule, steps, karras);
        Self { schedule, timesteps, sigmas, history: None }
    }
}

/// Timesteps and sigmas (with the final 0) of the multistep solvers.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "timesteps are small, tables f32")]
pub(crate) fn multistep_sigmas(schedule: &Schedule, steps: usize, karras: bool) -> (Vec<f32>, Vec<f32>) {
    let table = schedule.sigmas();
    let (timesteps, mut sigmas): (Vec<f32>, Vec<f32>) = if karras {
        schedule::karras_sigmas(table[0], table[table.len() - 1], steps)
            .into_iter()
            .map(|s| (schedule::sigma_to_timestep(&table, s).round_ties_even() as f32, s as f32))
            .unzip()
    } else {
        schedule::multistep_timesteps(schedule, steps)
            .into_iter()
            .map(|t| (t as f32, schedule::interpolate(&table, t as f64) as f32))
            .unzip()
    };
    sigmas.push(0.0);
    (timesteps, sigmas)
}

/// A point of the schedule in the solvers' terms.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) alpha: f32,
    pub(crate) sigma: f32,
    /// Half the log signal-to-noise ratio; infinite at the clean end.
    pub(crate) lambda: f32,
}

impl Point {
    pub(crate) fn new(sigma: f32) -> Self {
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        let sigma = sigma * alpha;
        Self { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }

    /// The cumulative alpha that this point stands for.
    pub(crate) fn alpha_cumprod(self) -> f32 {
        self.alpha * self.alpha
    }
}

impl Sampler for Dpmpp2m {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn sigmas(&self) -> &[f32] {
        &self.sigmas
    }

    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], _noise: Noise<'_>) -> Step {
        let (here, next) = (Point::new(self.sigmas[index]), Point::new(self.sigmas[index + 1]));
        let mut original = self.schedule.original(prediction, sample, here.alpha_cumprod());
        self.schedule.limit(&mut original);

        let h = next.lambda - here.lambda;
        let keep = next.sigma / here.sigma;
        let gain = next.alpha * ((-h).exp() - 1.0);
        let last = index + 1 == self.timesteps.len();
        let sample = match self.history.as_ref().filter(|_| !last) {
            // The last step ends at sigma 0 and is always of first order.
            None => sample.iter().zip(&original).map(|(x, x0)| keep * x - gain * x0).collect(),
            Some(before) => {
                let h0 = here.lambda - Point::new(self.sigmas[index - 1]).lambda;
                let r0 = h0 / h;
                sample
                    .iter()
                    .zip(&original)
                    .zip(before)
                    .map(|((x, m0), m1)| keep * x - gain * m0 - 0.5 * gain * ((1.0 / r0) * (m0 - m1)))
                    .collect()
            }
        };
        self.history = Some(original.clone());
        Step { sample, original }
    }
}
