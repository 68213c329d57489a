//! UniPC of second order with B(h) = expm1 (Zhao et al. 2023, arXiv 2302.04867), diffusers' `UniPCMultistepScheduler`
//! with `solver_type: bh2` and `predict_x0`.

use super::defaults::ClassDefaults;
use super::info::{SamplerSetup, SchedulerInfo};
use super::sampler::{Noise, Prediction, Sampler, Step};
use super::schedule::Schedule;
use super::sigmas::{Point, multistep_sigmas};

pub(super) static UNIPC: SchedulerInfo = SchedulerInfo {
    name: "unipc",
    label: "UniPC",
    class: "UniPCMultistepScheduler",
    selectable: true,
    karras: None,
    defaults: ClassDefaults::SOLVERS,
    build: |setup| Box::new(UniPc::new(setup)),
};

const ORDER: usize = 2;

struct UniPc {
    schedule: Schedule,
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    karras: bool,
    /// x0 of the last one or two steps, newest last.
    history: Vec<Vec<f32>>,
    /// The sample before the last prediction, and the order that prediction was made with.
    last: Option<(Vec<f32>, usize)>,
}

impl UniPc {
    fn new(SamplerSetup { schedule, steps, use_karras_sigmas: karras, .. }: SamplerSetup) -> Self {
        let (timesteps, sigmas) = multistep_sigmas(&schedule, steps, karras);
        Self { schedule, timesteps, sigmas, karras, history: Vec::new(), last: None }
    }

    /// UniC: correct the sample that the predictor gave at `index`, now that x0 at it is known.
    fn correct(&self, index: usize, before: &[f32], order: usize, here: &[f32]) -> Vec<f32> {
        let (target, start) = (Point::new(self.sigmas[index]), Point::new(self.sigmas[index - 1]));
        let h = target.lambda - start.lambda;
        let hh = -h;
        let phi_1 = hh.exp_m1();
        let base_h = phi_1;
        let keep = target.sigma / start.sigma;
        let newest = &self.history[self.history.len() - 1];
        let blend = |i: usize, correction: f32| {
            keep * before[i] - target.alpha * phi_1 * newest[i] - target.alpha * base_h * correction
        };
        if order == 1 {
            return (0..before.len()).map(|i| blend(i, 0.5 * (here[i] - newest[i]))).collect();
        }
        let older = &self.history[self.history.len() - 2];
        let rk = (Point::new(self.sigmas[index - 2]).lambda - start.lambda) / h;
        // Solve [[1, 1], [rk, 1]] rho = b.
        let phi_k = phi_1 / hh - 1.0;
        let b1 = phi_k / base_h;
        let b2 = (phi_k / hh - 0.5) * 2.0 / base_h;
        let rho_0 = (b1 - b2) / (1.0 - rk);
        let rho_1 = b1 - rho_0;
        (0..before.len())
            .map(|i| blend(i, rho_0 * ((older[i] - newest[i]) / rk) + rho_1 * (here[i] - newest[i])))
            .collect()
    }

    /// UniP: the sample at `index + 1`.
    fn predict(&self, index: usize, sample: &[f32], order: usize) -> Vec<f32> {
        let (start, target) = (Point::new(self.sigmas[index]), Point::new(self.sigmas[index + 1]));
        let h = target.lambda - start.lambda;
        let phi_1 = (-h).exp_m1();
        let keep = target.sigma / start.sigma;
        let newest = &self.history[self.history.len() - 1];
        let first = |i: usize| keep * sample[i] - target.alpha * phi_1 * newest[i];
        if order == 1 {
            return (0..sample.len()).map(first).collect();
        }
        let older = &self.history[self.history.len() - 2];
        let rk = (Point::new(self.sigmas[index - 1]).lambda - start.lambda) / h;
        (0..sample.len()).map(|i| first(i) - target.alpha * phi_1 * 0.5 * ((older[i] - newest[i]) / rk)).collect()
    }
}

impl Sampler for UniPc {
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
        let alpha = Point::new(self.sigmas[index]).alpha_cumprod();
        let mut original = self.schedule.original(prediction, sample, alpha);
        self.schedule.limit(&mut original);

        let sample = match &self.last {
            Some((before, order)) => self.correct(index, before, *order, &original),
            None => sample.to_vec(),
        };
        self.history.push(original.clone());
        if self.history.len() > ORDER {
            self.history.remove(0);
        }
        let order = ORDER.min(self.timesteps.len() - index).min(self.history.len());
        let next = self.predict(index, &sample, order);
        self.last = Some((sample, order));
        Step { sample: next, original }
    }
}
