//! A noise schedule as diffusers stores it.
//!
//! Invariant: absent fields have the default of the class that reads them, which differs by class.

use serde::Deserialize;

/// `scheduler_config.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    #[serde(rename = "_class_name")]
    pub class_name: String,
    pub num_train_timesteps: Option<usize>,
    pub beta_start: Option<f64>,
    pub beta_end: Option<f64>,
    pub beta_schedule: Option<String>,
    pub trained_betas: Option<Vec<f32>>,
    pub clip_sample: Option<bool>,
    pub clip_sample_range: Option<f32>,
    pub set_alpha_to_one: Option<bool>,
    pub steps_offset: Option<i64>,
    pub prediction_type: Option<String>,
    pub variance_type: Option<String>,
    pub thresholding: Option<bool>,
    pub dynamic_thresholding_ratio: Option<f32>,
    /// Absent: 1. `null`: no limit.
    #[serde(deserialize_with = "present")]
    pub sample_max_value: Option<Option<f32>>,
    pub timestep_spacing: Option<String>,
    pub use_karras_sigmas: bool,
    pub rescale_betas_zero_snr: Option<bool>,
}

#[expect(clippy::option_option, reason = "absent and null differ")]
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<f32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl SchedulerConfig {
    /// Length of the training schedule.
    #[must_use]
    pub fn train_timesteps(&self) -> usize {
        self.num_train_timesteps.unwrap_or(1000)
    }
}
