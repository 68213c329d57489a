//! DPM-Solver++ of second order, multistep (Lu et al. 2022, arXiv 2211.01095), diffusers'
//! `DPMSolverMultistepScheduler` with `algorithm_type: dpmsolver++` and `solver_type: midpoint`.

use super::defaults::ClassDefaults;
use super::info::{SamplerSetup, SchedulerInfo};
use super::sampler::{Noise, Prediction, Sampler, Step};
use super::schedule::Schedule;
use super::sigmas::{Point, multistep_sigmas};

pub(super) static DPMPP_2M: SchedulerInfo = SchedulerInfo {
    name: "dpmpp_2m",
    label: "DPM++ 2M",
    class: "DPMSolverMultistepScheduler",
    selectable: true,
    karras: Some(false),
    defaults: ClassDefaults::SOLVERS,
    build: |setup| Box::new(Dpmpp2m::new(setup, false)),
};

pub(super) static DPMPP_2M_KARRAS: SchedulerInfo = SchedulerInfo {
    name: "dpmpp_2m_karras",
    label: "DPM++ 2M Karras",
    karras: Some(true),
    build: |setup| Box::new(Dpmpp2m::new(setup, true)),
    ..DPMPP_2M
};

struct Dpmpp2m {
    schedule: Schedule,
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    karras: bool,
    /// x0 of the step before, once there is one.
    history: Option<Vec<f32>>,
}

impl Dpmpp2m {
    fn new(SamplerSetup { schedule, steps, .. }: SamplerSetup, karras: bool) -> Self {
        let (timesteps, sigmas) = multistep_sigmas(&schedule, steps, karras);
        Self { schedule, timesteps, sigmas, karras, history: None }
    }
}

impl Sampler for Dpmpp2m {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn alpha_cumprod(&self, index: usize) -> f32 {
        Point::new(self.sigmas[index]).alpha_cumprod()
    }

    fn sigmas(&self) -> &[f32] {
        &self.sigmas
    }

    fn follows_karras(&self) -> bool {
        self.karras
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
