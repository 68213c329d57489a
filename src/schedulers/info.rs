//! What there is to know of a scheduler before it runs.
//!
//! Invariant: a scheduler's name, its class and the defaults of that class are in its own file and nowhere else.

use std::fmt;

use super::defaults::ClassDefaults;
use super::sampler::Sampler;
use super::schedule::Schedule;
use crate::domain::Scheduler;

/// A scheduler: its names, its class's defaults, and how its samplers are made.
pub struct SchedulerInfo {
    /// The name in requests.
    pub name: &'static str,
    /// The name that the field's programs show.
    pub label: &'static str,
    /// diffusers' class.
    pub class: &'static str,
    /// Whether requests may choose it. The others belong to a network.
    pub selectable: bool,
    /// Whether it is the class with, or without, `use_karras_sigmas`; None: both.
    pub(super) karras: Option<bool>,
    pub(super) defaults: ClassDefaults,
    pub(super) build: fn(SamplerSetup) -> Box<dyn Sampler>,
}

/// What a sampler is made from.
pub(super) struct SamplerSetup {
    pub(super) schedule: Schedule,
    /// At least 1, and at most the steps of the training schedule.
    pub(super) steps: usize,
    pub(super) options: SamplerOptions,
    /// Whether the configuration asks for the sigmas of Karras et al.
    pub(super) use_karras_sigmas: bool,
}

/// Choices of a sampler that are made per request.
#[derive(Debug, Clone, Copy, Default)]
pub struct SamplerOptions {
    /// DDIM's eta: 0 is deterministic, 1 has the variance of DDPM (Song et al. 2020, eq. 16).
    pub eta: f32,
    /// DDIM: derive the noise again from the clipped prediction, as GLIDE does.
    pub use_clipped_model_output: bool,
}

impl SchedulerInfo {
    /// The value that requests carry.
    #[must_use]
    pub fn scheduler(&self) -> Scheduler {
        Scheduler::named(self.name)
    }

    /// Whether it is its class with `use_karras_sigmas`.
    #[must_use]
    pub fn needs_karras(&self) -> bool {
        self.karras == Some(true)
    }

    /// Whether a configuration of this class means it.
    pub(super) fn is(&self, class: &str, use_karras_sigmas: bool) -> bool {
        self.class == class && self.karras.is_none_or(|karras| karras == use_karras_sigmas)
    }
}

impl PartialEq for SchedulerInfo {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for SchedulerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
