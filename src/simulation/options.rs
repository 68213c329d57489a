//! What is simulated.

use super::costs::StepCosts;
use super::demand::{Arrival, Demand, Flood, Mix};
use super::scaling::Scaling;

/// How workers take steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    /// A worker makes one image, then the next.
    OneAtATime,
    /// Steps of several images together, chosen anew before every step.
    Steps {
        /// Images of a worker at a time.
        images: usize,
    },
}

impl Batching {
    pub(super) fn images(self) -> usize {
        match self {
            Self::OneAtATime => 1,
            Self::Steps { images } => images.max(1),
        }
    }
}

/// One simulation.
#[derive(Debug, Clone)]
pub struct Options {
    /// Devices at the start; with [`Scaling`] the most there may be.
    pub devices: usize,
    pub batching: Batching,
    /// Whether workers look for jobs of the size that they work on.
    pub affinity: bool,
    pub costs: StepCosts,
    /// Relative to what the devices can do one image at a time.
    pub load: f64,
    pub seconds: f64,
    pub demand: Demand,
    pub mix: Mix,
    /// In place of `load`, `seconds`, `demand` and `mix`.
    pub trace: Option<Vec<Arrival>>,
    /// A quarter into the load; then only jobs of others are counted, of those that come while it lasts.
    pub flood: Option<Flood>,
    /// Jobs that may wait or run at a time, as `queue.max_jobs`; more are refused.
    pub most_jobs: u64,
    pub scaling: Option<Scaling>,
    pub seed: u64,
}
