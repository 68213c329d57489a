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

/// So many steps left, or fewer, are few: each has to take away much of the noise.
const FEW: usize = 4;
/// Few steps are as far apart as those of a schedule of at least so many: the last one then predicts the clean sample from little
/// noise, as measured. Steps that are farther apart leave grain.
const LEAST_EVEN: usize = 4;

/// Where image-to-image starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageStart {
    /// Index of the first step.
    pub first_step: usize,
    /// Cumulative alpha of the noised image.
    pub alpha: f32,
    /// Whether the reference starts here, too.
    pub is_reference: bool,
}

/// Steps of equal length down to the clean sample, of which the last ones are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvenSteps {
    /// Of the whole schedule.
    pub all: usize,
    /// Those that are taken.
    pub left: usize,
}

/// What is done instead where few steps are left: most schedules spend the last of them at hardly any noise. `None`: there are
/// enough, or the reference does the same (its Karras sigmas leave much noise where there are few).
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "at most 1000"
)]
pub fn spread_few_steps(
    sampler: &dyn Sampler,
    start: ImageStart,
    strength: f64,
    train_timesteps: usize,
) -> Option<EvenSteps> {
    let left = sampler.timesteps().len().saturating_sub(start.first_step);
    if left == 0 || left > FEW || (start.is_reference && !sampler.follows_karras()) {
        return None;
    }
    let all = (left as f64 / strength.clamp(f64::MIN_POSITIVE, 1.0)).round() as usize;
    Some(EvenSteps { all: all.clamp(LEAST_EVEN, train_timesteps.max(LEAST_EVEN)), left })
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
        return ImageStart { first_step: share, alpha, is_reference: true };
    }
    let wanted = train_timesteps as f64 * strength.clamp(0.0, 1.0);
    let distance = |index: &usize| (f64::from(timesteps[*index]) - wanted).abs();
    let is_allowed = |index: &usize| f64::from(timesteps[*index]) <= wanted * MOST_ABOVE;
    let nearest = (0..timesteps.len()).filter(is_allowed).min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let nearest = nearest.unwrap_or(timesteps.len() - 1);
    ImageStart { first_step: nearest, alpha: sampler.alpha_cumprod(nearest), is_reference: false }
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
        // Two steps, at 286 and 143 instead of 251 and 1.
        assert_eq!(spread_few_steps(&*sampler, start, 0.3, 1000), Some(EvenSteps { all: 7, left: 2 }));
        let even = published().evenly_spread(info, 7, SamplerOptions::default()).unwrap();
        assert_eq!(even.timesteps()[5..], [285.0, 142.0]);
    }

    #[test]
    fn many_steps_and_those_of_the_reference_stay_as_they_are() {
        for (name, steps, strength) in [("ddim", 50, 0.3), ("ddim", 10, 1.0), ("euler", 4, 1.0), ("ddim", 20, 0.7)] {
            let info = crate::schedulers::find(name).unwrap();
            let sampler = published().sampler_of(info, steps, SamplerOptions::default()).unwrap();
            let start = img2img_start(&*sampler, strength, 1000);
            assert_eq!(spread_few_steps(&*sampler, start, strength, 1000), None, "{name}");
        }
    }
}
