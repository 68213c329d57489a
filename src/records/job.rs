//! A job: what was asked for, where it is, and how it ended.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    Failure, Finding, ImageMeta, JobState, Outcome, Output, Priority, Timings, TranslateWhen, TranslatedText, Warning,
    Webhook,
};
use crate::modes::{CheckedGeneration, Mode};

/// All that a job is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobSpec {
    /// Serialised without pixels: those are kept beside it ([`CheckedGeneration::without_pixels`]).
    pub generation: CheckedGeneration,
    pub output: Output,
    pub priority: Priority,
    /// A preview every so many decoder steps; 0: none.
    pub preview_interval: u32,
    pub webhook: Option<Webhook>,
    /// The style whose words are in the prompts already.
    pub style: Option<String>,
    /// What moderation noted of its texts without refusing them.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What is done otherwise than asked.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Its texts that were translated; the request has them as they are drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub translations: Vec<TranslatedText>,
    /// Which texts were to be translated; None: the server did not translate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translate: Option<TranslateWhen>,
    /// The name of the policy that its images are moderated by; None: the usual one.
    #[serde(default)]
    pub moderation_policy: Option<String>,
    /// The parameters as resolved, in JSON: what is written into files.
    pub parameters: String,
}

/// What speaks against a job: a worker died while it executed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// How far the job was, as the journal names places.
    pub place: String,
    /// Deaths in a row, at this place, of workers that executed this job alone. 0: others were executed beside it.
    pub deaths: u32,
    /// The claim under which the last of them met it: a process that dies again before anything new is executed tells of the same
    /// death once more, which does not count. 0: from a version that did not note it.
    #[serde(default)]
    pub epoch: i64,
}

impl Suspicion {
    /// What speaks against a job after a death at `place` under the claim of this epoch.
    #[must_use]
    pub fn after_death(before: Option<Self>, epoch: i64, place: &str, alone: bool) -> Self {
        match before {
            Some(before) if before.epoch == epoch => before,
            // It says more than one more death in company.
            Some(before) if !alone && before.deaths > 0 => Self { epoch, ..before },
            Some(before) if alone && before.place == place => {
                Self { deaths: before.deaths.saturating_add(1), epoch, ..before }
            }
            _ => Self { place: place.to_owned(), deaths: u32::from(alone), epoch },
        }
    }
}

/// A job as it is kept.
#[derive(Debug, Clone)]
pub struct Job {
    /// Version 7: ordered by time of acceptance.
    pub id: Uuid,
    /// Whose it is; empty where keys are off.
    pub owner: String,
    pub state: JobState,
    pub mode: Mode,
    pub model: String,
    /// Whether it outlives the connection and the process that brought it.
    pub durable: bool,
    /// See [`crate::modes::Generation::cost`].
    pub cost: u64,
    /// Whether jobs of its priority from other owners go first: its owner had a lot in a fleet's queue when it came.
    pub yields: bool,
    pub spec: JobSpec,
    /// Counts the claims; only the newest one may end the job.
    pub epoch: i64,
    /// How often it was lost with its worker, whatever the cause.
    pub losses: i64,
    /// `None`: nothing speaks against it.
    pub suspicion: Option<Suspicion>,
    pub cancel_requested: bool,
    /// Times in ms since 1970.
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    /// From then on the job answers `410`.
    pub expires_at: Option<i64>,
    pub images: Vec<ImageMeta>,
    pub timings: Option<Timings>,
    pub failure: Option<Failure>,
}

impl Job {
    /// Record the end. Times in ms since 1970.
    pub fn end(&mut self, outcome: Outcome, finished_at: i64, expires_at: i64) {
        self.state = outcome.state();
        self.finished_at = Some(finished_at);
        self.expires_at = Some(expires_at);
        match outcome {
            Outcome::Succeeded { images, timings } => (self.images, self.timings) = (images, Some(timings)),
            Outcome::Failed(failure) => self.failure = Some(failure),
            Outcome::Canceled => {}
        }
    }
}
