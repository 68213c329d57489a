//! Euler's method with ancestral noise, diffusers' `EulerAncestralDiscreteScheduler`. Draws noise at every step, also at
//! the last one, where it counts nothing.

use std::borrow::Cow;

use super::defaults::ClassDefaults;
use super::info::{SamplerSetup, SchedulerInfo};
use super::sampler::{Noise, Prediction, Sampler, Step};
use super::sigmas::SigmaSchedule;

pub(super) static EULER_ANCESTRAL: SchedulerInfo = SchedulerInfo {
    name: "euler_a",
    label: "Euler a",
    class: "EulerAncestralDiscreteScheduler",
    selectable: true,
    karras: None,
    defaults: ClassDefaults::SOLVERS,
    build: |setup| Box::new(EulerAncestral::new(setup)),
};

struct EulerAncestral(SigmaSchedule);

impl EulerAncestral {
    fn new(SamplerSetup { schedule, steps, .. }: SamplerSetup) -> Self {
        Self(SigmaSchedule::new(schedule, steps, false))
    }
}

impl Sampler for EulerAncestral {
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

    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], noise: Noise<'_>) -> Step {
        let original = self.0.original(index, prediction, sample);
        let (from, to) = (self.0.sigmas[index], self.0.sigmas[index + 1]);
        let up = (to * to * (from * from - to * to) / (from * from)).max(0.0).sqrt();
        let down = (to * to - up * up).max(0.0).sqrt();
        let change = down - from;
        let sample = sample
            .iter()
            .zip(&original)
            .zip(noise(sample.len()))
            .map(|((x, x0), n)| x + (x - x0) / from * change + n * up)
            .collect();
        Step { sample, original }
    }
}
