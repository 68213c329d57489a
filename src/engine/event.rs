//! What becomes of a request.

use crate::diffusion::StageInfo;
use crate::domain::{Failure, Image};

/// What becomes of a request: `Started`, then any number of the next three, then `Failed` or `Done`.
#[derive(Debug, Clone)]
pub enum Event {
    /// A worker has begun with it.
    Started,
    /// Steps taken in this stage, of all images together: the stage of the image that is furthest behind.
    Progress { stage: &'static StageInfo, step: usize, steps: usize },
    /// Roughly what image number `index` will be, after `step` denoising steps.
    Preview { index: usize, step: usize, image: Image },
    /// Image number `index` is finished.
    Image { index: usize, image: Image },
    /// Nothing more will come. [`FailureKind::Lost`](crate::domain::FailureKind::Lost): the worker went down, and the
    /// request may be run again.
    Failed(Failure),
    /// All images came.
    Done(StageTimes),
}

/// Wall time that a request spent in each stage, by the stage's id, ms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageTimes(pub Vec<(&'static str, u64)>);

impl StageTimes {
    /// Time in the stage called `id`, ms; 0 if the model has no such stage.
    #[must_use]
    pub fn ms(&self, id: &str) -> u64 {
        self.0.iter().find(|(other, _)| *other == id).map_or(0, |(_, ms)| *ms)
    }
}
