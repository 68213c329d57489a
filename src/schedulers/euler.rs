//! Euler's method on the probability-flow ODE (Karras et al. 2022), diffusers' `EulerDiscreteScheduler`.

use std::borrow::Cow;

use super::defaults::ClassDefaults;
use super::info::{SamplerSetup, SchedulerInfo};
use super::sampler::{Noise, Prediction, Sampler, Step};
use super::sigmas::SigmaSchedule;

pub(super) static EULER: SchedulerInfo = SchedulerInfo {
    name: "euler",
    label: "Euler",
    class: "EulerDiscreteScheduler",
    selectable: true,
    karras: Some(false),
    defaults: ClassDefaults::SOLVERS,
    build: |setup| Box::new(Euler::new(setup, false)),
};

pub(super) static EULER_KARRAS: SchedulerInfo = SchedulerInfo {
    name: "euler_karras",
    label: "Euler Karras",
    karras: Some(true),
    build: |setup| Box::new(Euler::new(setup, true)),
    ..EULER
};

struct Euler(SigmaSchedule);

impl Euler {
    fn new(SamplerSetup { schedule, steps, .. }: SamplerSetup, karras: bool) -> Self {
        Self(SigmaSchedule::new(schedule, steps, karras))
    }
}

impl Sampler for Euler {
    fn timesteps(&self) -> &[f32] {
        &self.0.timesteps
    }

    fn alpha_cumprod(&self, index: usize) -> f32 {
        self.0.alpha_cumprod(index)
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

    fn follows_karras(&self) -> bool {
        self.0.karras
    }

    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], _noise: Noise<'_>) -> Step {
        let original = self.0.original(index, prediction, sample);
        let sigma = self.0.sigmas[index];
        let change = self.0.sigmas[index + 1] - sigma;
        let sample = sample.iter().zip(&original).map(|(x, x0)| x + (x - x0) / sigma * change).collect();
        Step { sample, original }
    }
}
