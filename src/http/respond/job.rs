//! A job as clients see it.
//!
//! Invariant: a job has the same shape everywhere: in responses, in the list of jobs, and in events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::image_url::image_url;
use super::parameters::parameters_of;
use super::signed_url::events_url;
use super::warning::{WarningAnswer, warnings_of};
use crate::domain::{ImageMeta, JobState, Timings};
use crate::http::context::AppState;
use crate::http::error::finding::FindingAnswer;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;
use crate::http::submission::resolve::ResponseFormat;
use crate::modes::parameters::Parameters;
use crate::modes::request::names::{ModeName, PriorityName, StatusName};
use crate::records::Job;

/// A job, and its images if it has succeeded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobAnswer {
    pub(crate) id: Uuid,
    #[schema(value_type = StatusName)]
    status: &'static str,
    #[schema(value_type = ModeName)]
    mode: &'static str,
    #[schema(example = "kandinsky-mini")]
    model: String,
    #[schema(value_type = PriorityName)]
    priority: &'static str,
    /// The id of the key that created it; for administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    /// From then on, the job and its images are gone (410).
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    pub(crate) images: Vec<ImageAnswer>,
    /// URL of its events. If the server requires API keys, the URL is signed and needs none for a while, so that a page can
    /// listen with `EventSource`.
    #[schema(example = "http://127.0.0.1:8080/v1/jobs/0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11/events")]
    events_url: String,
    parameters: Parameters,
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<TimingsAnswer>,
    moderation: ModerationAnswer,
    /// What was done otherwise than asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningAnswer>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// A finished image.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageAnswer {
    index: u32,
    /// The seed that gives this image alone.
    seed: u64,
    width: u32,
    height: u32,
    #[schema(example = "image/png")]
    media_type: &'static str,
    /// The file in base64, unless `response_format` is `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) b64_json: Option<String>,
    /// URL of the file. If the server requires API keys, the URL is signed and needs none for a while, so that pages can show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "http://127.0.0.1:8080/v1/jobs/0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11/images/0")]
    pub(crate) url: Option<String>,
    /// The findings of moderation, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation: Option<ImageModeration>,
}

/// The findings of moderation in an image. (Blocked images are not returned.)
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageModeration {
    /// Whether the image was blurred because of them.
    blurred: bool,
    findings: Vec<FindingAnswer>,
}

impl ImageModeration {
    pub(crate) fn of(image: &ImageMeta) -> Option<Self> {
        let findings: Vec<_> = image.findings.iter().cloned().map(FindingAnswer::from).collect();
        (!findings.is_empty()).then_some(Self { blurred: image.blurred, findings })
    }
}

/// Time spent, ms.
#[expect(clippy::struct_field_names, reason = "the unit belongs to the contract's names")]
#[derive(Debug, Serialize, ToSchema)]
struct TimingsAnswer {
    queue_ms: u64,
    text_ms: u64,
    prior_ms: u64,
    decoder_ms: u64,
    decode_ms: u64,
    total_ms: u64,
}

impl From<Timings> for TimingsAnswer {
    fn from(timings: Timings) -> Self {
        let Timings { queue_ms, text_ms, prior_ms, decoder_ms, decode_ms, total_ms } = timings;
        Self { queue_ms, text_ms, prior_ms, decoder_ms, decode_ms, total_ms }
    }
}

/// The findings of moderation in the request. (A refused request is not a job.)
#[derive(Debug, Serialize, ToSchema)]
struct ModerationAnswer {
    /// Whether there are findings. They did not refuse the request: their scores are too low, or the key's policy allows them.
    flagged: bool,
    findings: Vec<FindingAnswer>,
}

/// RFC 3339.
pub(crate) fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default()
}

impl JobAnswer {
    /// A job with the URLs of its images.
    pub(crate) fn new(state: &AppState, context: &RequestContext, job: &Job) -> Self {
        Self {
            id: job.id,
            status: job.state.name(),
            mode: job.mode.name(),
            model: job.model.clone(),
            priority: job.spec.priority.name(),
            owner: context.caller.is_admin().then(|| job.owner.clone()),
            created_at: time(job.created_at),
            started_at: job.started_at.map(time),
            finished_at: job.finished_at.map(time),
            expires_at: job.expires_at.map(time),
            images: job.images.iter().map(|image| ImageAnswer::at_url(state, context, job.id, image)).collect(),
            events_url: events_url(state, context, job.id),
            parameters: parameters_of(&job.spec, state.engine.info()),
            timings: job.timings.map(TimingsAnswer::from),
            moderation: ModerationAnswer {
                flagged: !job.spec.findings.is_empty(),
                findings: job.spec.findings.iter().cloned().map(FindingAnswer::from).collect(),
            },
            warnings: warnings_of(job),
            error: job.failure.clone().map(Problem::from),
        }
    }

    /// A job with its images in the response format of the request.
    pub(crate) fn with_files(
        state: &AppState,
        context: &RequestContext,
        job: &Job,
        files: &[Vec<u8>],
        response_format: ResponseFormat,
    ) -> Self {
        let mut answer = Self::new(state, context, job);
        if response_format == ResponseFormat::B64Json {
            for (image, file) in answer.images.iter_mut().zip(files) {
                image.url = None;
                image.b64_json = Some(STANDARD.encode(file));
            }
        }
        answer
    }
}

impl ImageAnswer {
    fn at_url(state: &AppState, context: &RequestContext, job: Uuid, meta: &ImageMeta) -> Self {
        Self {
            index: meta.index,
            seed: meta.seed,
            width: meta.width,
            height: meta.height,
            media_type: meta.format.media_type(),
            b64_json: None,
            url: Some(image_url(state, context, job, meta.index)),
            moderation: ImageModeration::of(meta),
        }
    }
}

/// The problem of a job that ended without images.
pub(crate) fn problem_of(job: &Job) -> Problem {
    match (&job.failure, job.state) {
        (Some(failure), _) => failure.clone().into(),
        (None, JobState::Canceled) => Problem::canceled(),
        (None, _) => Problem::internal(),
    }
}
