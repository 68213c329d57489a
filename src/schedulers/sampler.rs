//! The seam between networks and schedulers: one sample's walk through a noise schedule.
//!
//! Invariant: steps are taken in order, without gaps, from any first index.

use std::borrow::Cow;

/// What one denoising step gives.
#[derive(Debug, Clone)]
pub struct Step {
    /// The sample at the next timestep.
    pub sample: Vec<f32>,
    /// The prediction of the clean sample (x0).
    pub original: Vec<f32>,
}

/// The output of the network for one sample, after guidance.
#[derive(Debug, Clone, Copy)]
pub struct Prediction<'a> {
    /// What the network predicts: noise, sample or velocity, as the schedule's prediction type says.
    pub mean: &'a [f32],
    /// The learned-range variance logits in [-1, 1], if the network gives them.
    pub variance: Option<&'a [f32]>,
}

/// Draws standard normal noise of the given length.
pub type Noise<'a> = &'a mut dyn FnMut(usize) -> Vec<f32>;

/// One sample's walk through a noise schedule.
pub trait Sampler: Send {
    /// Timesteps in the order of sampling, as the network is to see them.
    fn timesteps(&self) -> &[f32];

    /// Cumulative alpha at step `index`: the sample is `sqrt(alpha)` of the clean one and `sqrt(1 - alpha)` of noise, on the
    /// scale of a variance-preserving process.
    fn alpha_cumprod(&self, index: usize) -> f32;

    /// Noise levels `sqrt((1 - a) / a)` at the timesteps and after the last one; empty where a sampler has no use of them.
    fn sigmas(&self) -> &[f32] {
        &[]
    }

    /// Whether the noise levels are those of Karras et al. 2022, eq. 5: most steps are at low noise, so a share of the
    /// steps says nothing of the noise level.
    fn follows_karras(&self) -> bool {
        false
    }

    /// Standard deviation of the noise that sampling starts from.
    fn init_noise_sigma(&self) -> f32 {
        1.0
    }

    /// The sample as the network wants it at step `index`.
    fn scale_input<'a>(&self, _index: usize, sample: &'a [f32]) -> Cow<'a, [f32]> {
        Cow::Borrowed(sample)
    }

    /// The factor from a variance-preserving sample (unit total variance) to this sampler's own scale at `index`.
    fn variance_preserving_scale(&self, _index: usize) -> f32 {
        1.0
    }

    /// Go from `timesteps()[index]` to the next one.
    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], noise: Noise<'_>) -> Step;
}
