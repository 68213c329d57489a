//! Image-to-image: where on the schedule sampling starts, and the noise that is added there
//! (`KandinskyImg2ImgPipeline`).
//!
//! Invariant: the noise that is added is noise that the steps left take away again.

use super::sampler::Sampler;
use super::schedule::{cumulative_alphas, linspace, mix};

/// How far the noise that is added may be from what the first step expects, as a ratio of standard deviations on the scale of a
/// variance-preserving process, and how far what is left of the difference may reach in the prediction of the clean sample. Up
/// to here the reference's images are as clean with few steps as with many.
const MOST_RATIO: f32 = 1.2;
const MOST_RESIDUE: f32 = 0.18;
/// How much noisier than the strength says a step may be that is nearest to it.
const MOST_ABOVE: f64 = 1.25;

/// Where image-to-image starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageStart {
    /// Index of the first step.
    pub first_step: usize,
    /// Cumulative alpha of the noised image.
    pub alpha: f32,
}

impl ImageStart {
    /// The image at this start: `sqrt(alpha)` of it and `sqrt(1 - alpha)` of the noise.
    #[must_use]
    pub fn noised(&self, original: &[f32], noise: &[f32]) -> Vec<f32> {
        mix(original, noise, self.alpha)
    }
}

/// Image-to-image: where sampling starts at a `strength` above 0.
///
/// The reference adds noise of the timestep that the strength stands for, by betas of its own, and begins at a share of the
/// steps, which may be a very different level of noise. Where the two are near each other, this is the reference's start.
/// Elsewhere (few steps, Karras sigmas) it is the step nearest to that timestep, with the noise of that step.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "timesteps are small")]
pub fn img2img_start(sampler: &dyn Sampler, strength: f64, train_timesteps: usize) -> ImageStart {
    let timesteps = sampler.timesteps();
    let (share, left) = img2img_window(timesteps.len(), strength);
    let timestep = img2img_timestep(train_timesteps, strength);
    let alpha = img2img_alpha(timestep);
    if left > 0 && is_near(alpha, sampler.alpha_cumprod(share)) {
        return ImageStart { first_step: share, alpha };
    }
    let wanted = train_timesteps as f64 * strength.clamp(0.0, 1.0);
    let distance = |index: &usize| (f64::from(timesteps[*index]) - wanted).abs();
    let is_allowed = |index: &usize| f64::from(timesteps[*index]) <= wanted * MOST_ABOVE;
    let nearest = (0..timesteps.len()).filter(is_allowed).min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let nearest = nearest.unwrap_or(timesteps.len() - 1);
    ImageStart { first_step: nearest, alpha: sampler.alpha_cumprod(nearest) }
}

/// Whether steps from the cumulative alpha `expected` take away the noise of `added`.
fn is_near(added: f32, expected: f32) -> bool {
    let [noise, wanted] = [added, expected].map(|alpha| (1.0 - alpha).max(0.0).sqrt());
    let residue = (noise - wanted).abs() / expected.sqrt();
    (wanted / MOST_RATIO..=wanted * MOST_RATIO).contains(&noise) && residue <= MOST_RESIDUE
}

/// Image-to-image: the index of the first step and the number of steps left, of `steps` at `strength`
/// (`KandinskyImg2ImgPipeline.get_timesteps`).
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "truncation of a small positive number, as the reference does"
)]
pub fn img2img_window(steps: usize, strength: f64) -> (usize, usize) {
    let left = ((steps as f64 * strength.clamp(0.0, 1.0)) as usize).min(steps);
    (steps - left, left)
}

/// Image-to-image: the timestep of the noise that is added to the encoded image, two below the truncated strength.
/// The reference wraps around below zero; here the smallest timestep is 0.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "truncation of a small positive number, as the reference does"
)]
pub fn img2img_timestep(train_timesteps: usize, strength: f64) -> i64 {
    (train_timesteps as f64 * strength.clamp(0.0, 1.0)) as i64 - 2
}

/// Image-to-image: noise added with the reference's own betas, 0.0001 to 0.02, whatever the scheduler's are
/// (`KandinskyImg2ImgPipeline.add_noise`).
#[must_use]
pub fn img2img_noise(original: &[f32], noise: &[f32], timestep: i64) -> Vec<f32> {
    mix(original, noise, img2img_alpha(timestep))
}

/// The cumulative alpha of the reference's own betas.
fn img2img_alpha(timestep: i64) -> f32 {
    let alphas = cumulative_alphas(&linspace(0.0001, 0.02, 1000));
    let index = usize::try_from(timestep).unwrap_or(0).min(alphas.len() - 1);
    alphas[index]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::{SamplerOptions, SchedulerConfig, selectable};

    /// The published decoder's schedule.
    fn published() -> SchedulerConfig {
        SchedulerConfig {
            class_name: "DDIMScheduler".to_owned(),
            beta_start: Some(0.000_85),
            beta_end: Some(0.012),
            steps_offset: Some(1),
            timestep_spacing: Some("leading".to_owned()),
            ..SchedulerConfig::default()
        }
    }

    #[test]
    fn the_noise_is_about_that_of_the_first_step_for_every_scheduler_step_count_and_strength() {
        for info in selectable() {
            for steps in [1, 2, 3, 4, 6, 10, 25, 50, 100] {
                let sampler = published().sampler_of(info, steps, SamplerOptions::default()).unwrap();
                for percent in 1..=100 {
                    let start = img2img_start(&*sampler, f64::from(percent) / 100.0, 1000);
                    let deviation = |alpha: f32| (1.0 - alpha).sqrt();
                    let (added, expected) =
                        (deviation(start.alpha), deviation(sampler.alpha_cumprod(start.first_step)));
                    assert!(
                        added <= 1.21 * expected && added >= 0.82 * expected,
                        "{} {steps} steps at {percent} %: {added} where step {} expects {expected}",
                        info.name,
                        start.first_step
                    );
                }
            }
        }
    }

    #[test]
    fn many_steps_start_where_the_reference_does() {
        for (name, steps, strength) in [("ddim", 50, 0.3), ("ddim", 20, 0.7), ("ddpm", 100, 0.5), ("euler", 50, 0.3)] {
            let info = crate::schedulers::find(name).unwrap();
            let sampler = published().sampler_of(info, steps, SamplerOptions::default()).unwrap();
            let start = img2img_start(&*sampler, strength, 1000);
            assert_eq!(start.first_step, img2img_window(steps, strength).0, "{name}");
            let (image, noise) = ([0.5, -1.0], [1.5, 0.25]);
            let reference = img2img_noise(&image, &noise, img2img_timestep(1000, strength));
            assert_eq!(start.noised(&image, &noise), reference, "{name}");
        }
    }

    #[test]
    fn few_steps_start_at_the_strength_that_is_asked_for() {
        let info = crate::schedulers::find("ddim").unwrap();
        let sampler = published().sampler_of(info, 4, SamplerOptions::default()).unwrap();
        // Timesteps 751, 501, 251, 1: the reference would start at 1, with the noise of 298.
        let start = img2img_start(&*sampler, 0.3, 1000);
        assert_eq!((start.first_step, start.alpha), (2, sampler.alpha_cumprod(2)));
        // 251 is much more than 0.1 means.
        assert_eq!(img2img_start(&*sampler, 0.1, 1000).first_step, 3);
    }
}
