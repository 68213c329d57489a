//! Image-to-image: where on the schedule sampling starts, and the noise that is added there
//! (`KandinskyImg2ImgPipeline`).

use super::schedule::{cumulative_alphas, linspace, mix};

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
    let alphas = cumulative_alphas(&linspace(0.0001, 0.02, 1000));
    let index = usize::try_from(timestep).unwrap_or(0).min(alphas.len() - 1);
    mix(original, noise, alphas[index])
}
