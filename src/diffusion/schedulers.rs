//! Noise schedules and samplers, as diffusers' schedulers compute them.
//!
//! Invariant: a sampler holds the state of one sample only and works on plain `f32` slices, so a batch may mix
//! schedulers, step counts and timesteps, and no sampler knows about tensors or devices.

mod ddim;
mod ddpm;
mod dpmpp_2m;
mod euler;
mod euler_ancestral;
mod schedule;
mod unclip;
mod unipc;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use crate::tensor::error::{Error, Result};
pub use schedule::{Schedule, img2img_noise, img2img_timestep, img2img_window};

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

    /// Noise levels `sqrt((1 - a) / a)` at the timesteps and after the last one; empty where a sampler has no use of them.
    fn sigmas(&self) -> &[f32] {
        &[]
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

    /// Go from `timesteps()[index]` to the next one. Steps must be taken in order, without gaps, from any first index.
    fn step(&mut self, index: usize, prediction: Prediction<'_>, sample: &[f32], noise: Noise<'_>) -> Step;
}

/// The samplers on offer for the decoder, and the prior's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SamplerKind {
    Ddim,
    Ddpm,
    Dpmpp2m,
    Dpmpp2mKarras,
    Euler,
    EulerKarras,
    EulerAncestral,
    UniPc,
    UnClip,
}

impl SamplerKind {
    /// A name for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddim => "ddim",
            Self::Ddpm => "ddpm",
            Self::Dpmpp2m => "dpmpp_2m",
            Self::Dpmpp2mKarras => "dpmpp_2m_karras",
            Self::Euler => "euler",
            Self::EulerKarras => "euler_karras",
            Self::EulerAncestral => "euler_a",
            Self::UniPc => "unipc",
            Self::UnClip => "unclip",
        }
    }

    /// The kind that a diffusers configuration stands for.
    fn from_config(config: &SchedulerConfig) -> Result<Self> {
        let karras = config.use_karras_sigmas;
        match config.class_name.as_str() {
            "DDIMScheduler" => Ok(Self::Ddim),
            "DDPMScheduler" => Ok(Self::Ddpm),
            "UnCLIPScheduler" => Ok(Self::UnClip),
            "DPMSolverMultistepScheduler" if karras => Ok(Self::Dpmpp2mKarras),
            "DPMSolverMultistepScheduler" => Ok(Self::Dpmpp2m),
            "EulerDiscreteScheduler" if karras => Ok(Self::EulerKarras),
            "EulerDiscreteScheduler" => Ok(Self::Euler),
            "EulerAncestralDiscreteScheduler" => Ok(Self::EulerAncestral),
            "UniPCMultistepScheduler" => Ok(Self::UniPc),
            other => Err(Error::Request(format!(
                "unknown scheduler class {other:?}; known are DDIMScheduler, DDPMScheduler, UnCLIPScheduler, \
                 DPMSolverMultistepScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler and \
                 UniPCMultistepScheduler"
            ))),
        }
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `scheduler_config.json`. Absent fields have the default of the class that reads them, which differs by class.
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
    /// The sampler that this configuration names.
    pub fn kind(&self) -> Result<SamplerKind> {
        SamplerKind::from_config(self)
    }

    /// Length of the training schedule.
    #[must_use]
    pub fn train_timesteps(&self) -> usize {
        self.num_train_timesteps.unwrap_or(1000)
    }

    /// A sampler of this configuration's own kind over `steps` steps.
    pub fn sampler(&self, steps: usize, options: Options) -> Result<Box<dyn Sampler>> {
        self.sampler_of(self.kind()?, steps, options)
    }

    /// A sampler of another kind on the same noise schedule, as diffusers' `Class.from_config(config)` makes one.
    pub fn sampler_of(&self, kind: SamplerKind, steps: usize, options: Options) -> Result<Box<dyn Sampler>> {
        if steps == 0 {
            return Err(Error::Request("at least one step is needed".into()));
        }
        let schedule = Schedule::new(self, kind)?;
        if steps > schedule.train_timesteps() {
            return Err(Error::Request(format!(
                "{steps} steps are more than the {} the model was trained with",
                schedule.train_timesteps()
            )));
        }
        Ok(match kind {
            SamplerKind::Ddim => Box::new(ddim::Ddim::new(schedule, steps, options)),
            SamplerKind::Ddpm => Box::new(ddpm::Ddpm::new(schedule, steps)),
            SamplerKind::UnClip => Box::new(unclip::UnClip::new(schedule, steps)),
            SamplerKind::Dpmpp2m => Box::new(dpmpp_2m::Dpmpp2m::new(schedule, steps, false)),
            SamplerKind::Dpmpp2mKarras => Box::new(dpmpp_2m::Dpmpp2m::new(schedule, steps, true)),
            SamplerKind::Euler => Box::new(euler::Euler::new(schedule, steps, false)),
            SamplerKind::EulerKarras => Box::new(euler::Euler::new(schedule, steps, true)),
            SamplerKind::EulerAncestral => Box::new(euler_ancestral::EulerAncestral::new(schedule, steps)),
            SamplerKind::UniPc => Box::new(unipc::UniPc::new(schedule, steps, self.use_karras_sigmas)),
        })
    }
}

/// Choices of a sampler that are made per request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// DDIM's eta: 0 is deterministic, 1 has the variance of DDPM (Song et al. 2020, eq. 16).
    pub eta: f32,
    /// DDIM: derive the noise again from the clipped prediction, as GLIDE does.
    pub use_clipped_model_output: bool,
}
