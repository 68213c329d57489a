//! Samplers from a configuration.

use super::config::SchedulerConfig;
use super::error::SchedulerError;
use super::info::{SamplerOptions, SamplerSetup, SchedulerInfo};
use super::sampler::Sampler;
use super::schedule::Schedule;
use super::table::{SCHEDULERS, find_sibling};

impl SchedulerConfig {
    /// The scheduler that this configuration names.
    pub fn info(&self) -> Result<&'static SchedulerInfo, SchedulerError> {
        let found = SCHEDULERS.into_iter().find(|info| info.is(&self.class_name, self.use_karras_sigmas));
        found.ok_or_else(|| {
            let mut classes: Vec<&str> = SCHEDULERS.iter().map(|info| info.class).collect();
            classes.dedup();
            let known = classes.join(", ");
            SchedulerError(format!("unknown scheduler class {:?}; known are {known}", self.class_name))
        })
    }

    /// The noise schedule, as the class of `scheduler` reads this configuration.
    pub fn schedule(&self, scheduler: &SchedulerInfo) -> Result<Schedule, SchedulerError> {
        Schedule::new(self, scheduler.defaults)
    }

    /// A sampler of this configuration's own scheduler over `steps` steps.
    pub fn sampler(&self, steps: usize, options: SamplerOptions) -> Result<Box<dyn Sampler>, SchedulerError> {
        self.sampler_of(self.info()?, steps, options)
    }

    /// A sampler of another scheduler on the same noise schedule, as diffusers' `Class.from_config(config)` makes one.
    pub fn sampler_of(
        &self,
        scheduler: &SchedulerInfo,
        steps: usize,
        options: SamplerOptions,
    ) -> Result<Box<dyn Sampler>, SchedulerError> {
        if steps == 0 {
            return Err(SchedulerError("at least one step is needed".to_owned()));
        }
        let schedule = self.schedule(scheduler)?;
        if steps > schedule.train_timesteps() {
            return Err(SchedulerError(format!(
                "{steps} steps are more than the {} the model was trained with",
                schedule.train_timesteps()
            )));
        }
        let use_karras_sigmas = self.use_karras_sigmas;
        Ok((scheduler.build)(SamplerSetup { schedule, steps, options, use_karras_sigmas }))
    }

    /// The same with steps of equal length from the noise to the clean sample, whatever this configuration says of them.
    pub fn evenly_spread(
        &self,
        scheduler: &'static SchedulerInfo,
        steps: usize,
        options: SamplerOptions,
    ) -> Result<Box<dyn Sampler>, SchedulerError> {
        let even = Self { timestep_spacing: Some("trailing".to_owned()), use_karras_sigmas: false, ..self.clone() };
        even.sampler_of(find_sibling(scheduler, false).unwrap_or(scheduler), steps, options)
    }
}
