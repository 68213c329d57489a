//! What webhooks say of a job's end.
//!
//! Invariant: the names are those of the API's answers, and the contract describes these very types.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Failure, Finding, ImageMeta, Outcome, Timings, WebhookEvent};
use crate::modes::request::names::{EndName, FailureName, ModeName, WebhookEventName};
use crate::records::Job;
use crate::store::NewDelivery;

/// The message that a webhook is sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookMessage {
    #[serde(rename = "type")]
    #[schema(value_type = WebhookEventName)]
    event: &'static str,
    /// When the job ended.
    #[schema(format = DateTime)]
    timestamp: String,
    data: WebhookJob,
}

/// A job that has ended.
#[derive(Serialize, ToSchema)]
struct WebhookJob {
    id: Uuid,
    #[schema(value_type = EndName)]
    status: &'static str,
    #[schema(value_type = ModeName)]
    mode: &'static str,
    #[schema(example = "kandinsky-mini")]
    model: String,
    /// URL of the job, or its path unless the server knows its public address. It is not signed: where the server requires keys,
    /// reading it takes one.
    #[schema(example = "https://images.example.org/v1/jobs/0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11")]
    url: String,
    /// Empty unless the job succeeded.
    images: Vec<WebhookImage>,
    /// Null unless the job succeeded.
    #[schema(required = true)]
    timings: Option<WebhookTimings>,
    /// Null unless the job failed.
    #[schema(required = true)]
    error: Option<WebhookError>,
}

/// A finished image.
#[derive(Serialize, ToSchema)]
struct WebhookImage {
    index: u32,
    /// The seed that gives this image alone.
    seed: u64,
    width: u32,
    height: u32,
    #[schema(example = "image/png")]
    media_type: &'static str,
    /// URL of the file, like that of the job.
    #[schema(example = "https://images.example.org/v1/jobs/0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11/images/0")]
    url: String,
    /// The findings of moderation; null if there are none.
    #[schema(required = true)]
    moderation: Option<WebhookModeration>,
}

/// The findings of moderation in an image.
#[derive(Serialize, ToSchema)]
struct WebhookModeration {
    /// Whether the image was blurred because of them.
    blurred: bool,
    findings: Vec<WebhookFinding>,
}

/// A finding of moderation.
#[derive(Serialize, ToSchema)]
struct WebhookFinding {
    #[schema(example = "violence/graphic")]
    category: String,
    /// Confidence, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    score: f32,
    /// The moderator and its rule.
    #[schema(example = "classifier: gore")]
    rule: String,
}

/// Time spent, ms.
#[expect(clippy::struct_field_names, reason = "the unit belongs to the contract's names")]
#[derive(Serialize, ToSchema)]
struct WebhookTimings {
    queue_ms: u64,
    text_ms: u64,
    prior_ms: u64,
    decoder_ms: u64,
    decode_ms: u64,
    total_ms: u64,
}

/// Why a job failed.
#[derive(Serialize, ToSchema)]
struct WebhookError {
    #[schema(value_type = FailureName)]
    kind: &'static str,
    message: String,
    /// The findings that an image was refused for; absent otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moderation: Vec<WebhookFinding>,
}

impl WebhookImage {
    fn new(base: &str, job: Uuid, meta: &ImageMeta) -> Self {
        let findings = findings_of(&meta.findings);
        Self {
            index: meta.index,
            seed: meta.seed,
            width: meta.width,
            height: meta.height,
            media_type: meta.format.media_type(),
            url: format!("{base}/v1/jobs/{job}/images/{}", meta.index),
            moderation: (!findings.is_empty()).then_some(WebhookModeration { blurred: meta.blurred, findings }),
        }
    }
}

fn findings_of(findings: &[Finding]) -> Vec<WebhookFinding> {
    let findings = findings.iter().cloned();
    findings.map(|Finding { category, score, rule }| WebhookFinding { category, score, rule }).collect()
}

impl From<&Timings> for WebhookTimings {
    fn from(timings: &Timings) -> Self {
        let Timings { queue_ms, text_ms, prior_ms, decoder_ms, decode_ms, total_ms } = *timings;
        Self { queue_ms, text_ms, prior_ms, decoder_ms, decode_ms, total_ms }
    }
}

impl From<&Failure> for WebhookError {
    fn from(failure: &Failure) -> Self {
        let Failure { kind, message, findings } = failure;
        Self { kind: kind.name(), message: message.clone(), moderation: findings_of(findings) }
    }
}

/// The messages that announce this end at `now`, if the request asked for it; `base` is the server's own address, or empty.
pub(crate) fn deliveries(base: &str, job: &Job, outcome: &Outcome, now: Timestamp) -> Vec<NewDelivery> {
    let state = outcome.state();
    let (Some(webhook), Some(event)) = (&job.spec.webhook, WebhookEvent::of(state)) else { return Vec::new() };
    if !webhook.events.contains(&event) {
        return Vec::new();
    }
    let (images, timings, error) = match outcome {
        Outcome::Succeeded { images, timings } => (images.as_slice(), Some(timings.into()), None),
        Outcome::Failed(failure) => (&[][..], None, Some(failure.into())),
        Outcome::Canceled => (&[][..], None, None),
    };
    let message = WebhookMessage {
        event: event.name(),
        timestamp: now.to_string(),
        data: WebhookJob {
            id: job.id,
            status: state.name(),
            mode: job.mode.name(),
            model: job.model.clone(),
            url: format!("{base}/v1/jobs/{}", job.id),
            images: images.iter().map(|meta| WebhookImage::new(base, job.id, meta)).collect(),
            timings,
            error,
        },
    };
    match serde_json::to_string(&message) {
        Ok(payload) => {
            vec![NewDelivery { id: format!("msg_{}", Uuid::now_v7().simple()), url: webhook.url.clone(), payload }]
        }
        Err(error) => {
            tracing::error!(job.id = %job.id, %error, "a webhook's payload cannot be serialised");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FailureKind, VariantArray as _};

    #[test]
    fn a_failure_is_told_as_it_is_kept() {
        let finding = Finding { category: "violence".to_owned(), score: 0.75, rule: "classifier: gore".to_owned() };
        for kind in FailureKind::VARIANTS {
            for findings in [vec![], vec![finding.clone()]] {
                let failure = Failure { findings, ..Failure::new(*kind, "why") };
                let told = serde_json::to_value(WebhookError::from(&failure)).unwrap();
                assert_eq!(told, serde_json::to_value(&failure).unwrap());
            }
        }
    }
}
