//! A request as a job: what it is to deliver, its states, and how it ended.
//!
//! Invariant: a job's state only moves forward: queued, running, and then one of the three final states; a running job
//! whose worker is lost goes back to queued under a new epoch, and whoever holds an older epoch can no longer end it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Failure, Finding};

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Canceled,
}

impl JobState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Canceled];

    /// The name in answers and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

impl FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| format!("must be one of {names}"))
    }
}

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

impl Priority {
    /// All of them, lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The name in requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// 0, 1 or 2; larger goes first.
    #[must_use]
    pub fn level(self) -> u8 {
        self as u8
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|p| p.name() == text).ok_or_else(|| "must be one of high, normal, low".to_owned())
    }
}

/// File formats of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Png,
    Jpeg,
    Webp,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::Webp];

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }

    /// The name in requests, and the extension of files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "png" => Ok(Self::Png),
            "jpg" | "jpeg" => Ok(Self::Jpeg),
            "webp" => Ok(Self::Webp),
            _ => Err("must be one of png, jpeg, webp".to_owned()),
        }
    }
}

/// How finished pictures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub format: Format,
    /// 1..100; lossless at 100 for WebP.
    pub quality: u8,
    /// Write the parameters and the seed into the file. Marks of its origin are not up to the request.
    pub embed_metadata: bool,
}

/// Quality of lossy pictures unless asked otherwise.
const DEFAULT_QUALITY: u8 = 95;

impl Default for Output {
    fn default() -> Self {
        Self { format: Format::Png, quality: DEFAULT_QUALITY, embed_metadata: true }
    }
}

/// What a webhook may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WebhookEvent {
    #[serde(rename = "job.succeeded")]
    Succeeded,
    #[serde(rename = "job.failed")]
    Failed,
    #[serde(rename = "job.canceled")]
    Canceled,
}

impl WebhookEvent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Canceled];

    /// The name in requests and payloads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "job.succeeded",
            Self::Failed => "job.failed",
            Self::Canceled => "job.canceled",
        }
    }

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

impl FromStr for WebhookEvent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|e| e.name() == text).ok_or_else(|| format!("must be one of {names}"))
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

/// A finished picture's description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageMeta {
    pub index: u32,
    /// The seed that makes this picture alone.
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
