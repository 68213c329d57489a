//! A noise schedule as diffusers stores it, and the samplers made from it.
//!
//! Invariant: absent fields have the default of the class that reads them, which differs by class.

use serde::Deserialize;

use super::info::{SamplerOptions, SamplerSetup};
use super::{SCHEDULERS, Sampler, Schedule, SchedulerInfo};
use crate::tensor::error::{Error, Result};

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
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Option<f32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl SchedulerConfig {
    /// The scheduler that this configuration names.
    pub fn info(&self) -> Result<&'static SchedulerInfo> {
        let found = SCHEDULERS.into_iter().find(|info| info.is(&self.class_name, self.use_karras_sigmas));
        found.ok_or_else(|| {
            let mut classes: Vec<&str> = SCHEDULERS.iter().map(|info| info.class).collect();
            classes.dedup();
            let known = classes.join(", ");
            Error::Request(format!("unknown scheduler class {:?}; known are {known}", self.class_name))
        })
    }

    /// Length of the training schedule.
    #[must_use]
    pub fn train_timesteps(&self) -> usize {
        self.num_train_timesteps.unwrap_or(1000)
    }

    /// A sampler of this configuration's own scheduler over `steps` steps.
    pub fn sampler(&self, steps: usize, options: SamplerOptions) -> Result<Box<dyn Sampler>> {
        self.sampler_of(self.info()?, steps, options)
    }

    /// A sampler of another scheduler on the same noise schedule, as diffusers' `Class.from_config(config)` makes one.
    pub fn sampler_of(
        &self,
        scheduler: &SchedulerInfo,
        steps: usize,
        options: SamplerOptions,
    ) -> Result<Box<dyn Sampler>> {
        if steps == 0 {
            return Err(Error::Request("at least one step is needed".into()));
        }
        let schedule = Schedule::new(self, scheduler)?;
        if steps > schedule.train_timesteps() {
            return Err(Error::Request(format!(
                "{steps} steps are more than the {} the model was trained with",
                schedule.train_timesteps()
            )));
        }
        let use_karras_sigmas = self.use_karras_sigmas;
        Ok((scheduler.build)(SamplerSetup { schedule, steps, options, use_karras_sigmas }))
    }
}
