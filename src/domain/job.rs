//! A request as a job: what it is to deliver, its states, and how it ended.
//!
//! Invariant: a job's state only moves forward: queued, running, and then one of the three final states; a running job
//! whose worker is lost goes back to queued under a new epoch, and a holder of an older epoch can no longer end it.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::error::Failure;
use super::finding::Finding;
use super::named::{impl_names, unknown_name};

impl_names!(JobState, Priority, Format, WebhookEvent);

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum JobState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Canceled,
}

impl JobState {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// Scheduling priority, lowest first.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

impl Priority {
    /// 0, 1 or 2; larger goes first.
    #[must_use]
    pub fn level(self) -> u8 {
        self as u8
    }
}

/// File formats of results.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum Format {
    #[default]
    Png,
    #[strum(to_string = "jpeg", serialize = "jpg")]
    Jpeg,
    Webp,
}

impl Format {
    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// How finished images are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub format: Format,
    /// 1..100; lossless at 100 for WebP.
    pub quality: u8,
    /// Write the parameters and the seed into the file. Marks of its origin are not up to the request.
    pub embed_metadata: bool,
}

/// Quality of lossy images unless asked otherwise.
const DEFAULT_QUALITY: u8 = 95;

impl Default for Output {
    fn default() -> Self {
        Self { format: Format::Png, quality: DEFAULT_QUALITY, embed_metadata: true }
    }
}

/// What a webhook may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray)]
#[strum(parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum WebhookEvent {
    #[serde(rename = "job.succeeded")]
    #[strum(serialize = "job.succeeded")]
    Succeeded,
    #[serde(rename = "job.failed")]
    #[strum(serialize = "job.failed")]
    Failed,
    #[serde(rename = "job.canceled")]
    #[strum(serialize = "job.canceled")]
    Canceled,
}

impl WebhookEvent {
    /// The event that tells of a job in this state.
    #[must_use]
    pub fn of(state: JobState) -> Option<Self> {
        match state {
            JobState::Succeeded => Some(Self::Succeeded),
            JobState::Failed => Some(Self::Failed),
            JobState::Canceled => Some(Self::Canceled),
            JobState::Queued | JobState::Running => None,
        }
    }
}

/// Whom to tell about a job's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub url: String,
    pub events: Vec<WebhookEvent>,
}

/// Where the time went, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timings {
    /// From acceptance to the first work on it.
    pub queue_ms: u64,
    /// Text and image encoders.
    pub text_ms: u64,
    pub prior_ms: u64,
    pub decoder_ms: u64,
    /// MoVQ.
    pub decode_ms: u64,
    /// From acceptance to the end.
    pub total_ms: u64,
}

/// A finished image's description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageMeta {
    pub index: u32,
    /// The seed that makes this image alone.
    pub seed: u64,
    pub width: u32,
    pub height: u32,
    pub format: Format,
    /// Bytes of the file.
    pub bytes: u64,
    /// What moderation noted of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Whether moderation made it unrecognisable.
    #[serde(default)]
    pub blurred: bool,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    Succeeded { images: Vec<ImageMeta>, timings: Timings },
    Failed(Failure),
    Canceled,
}

impl Outcome {
    /// The state that it leaves a job in.
    #[must_use]
    pub fn state(&self) -> JobState {
        match self {
            Self::Succeeded { .. } => JobState::Succeeded,
            Self::Failed(_) => JobState::Failed,
            Self::Canceled => JobState::Canceled,
        }
    }
}
