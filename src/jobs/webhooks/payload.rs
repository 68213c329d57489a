//! What webhooks say of a job's end.
//!
//! Invariant: the names are those of the API's answers.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::{Failure, Finding, ImageMeta, Outcome, Timings, WebhookEvent};
use crate::records::Job;
use crate::store::NewDelivery;

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    event: &'a str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    id: Uuid,
    status: &'a str,
    mode: &'a str,
    model: &'a str,
    /// Of the job; relative to the server unless `server.public_url` is set.
    url: String,
    images: Vec<Image<'a>>,
    timings: Option<&'a Timings>,
    error: Option<&'a Failure>,
}

#[derive(Serialize)]
struct Image<'a> {
    index: u32,
    seed: u64,
    width: u32,
    height: u32,
    media_type: &'static str,
    url: String,
    /// What moderation found in it; absent if nothing.
    moderation: Option<ImageModeration<'a>>,
}

#[derive(Serialize)]
struct ImageModeration<'a> {
    blurred: bool,
    findings: &'a [Finding],
}

impl<'a> Image<'a> {
    fn new(base: &str, job: Uuid, meta: &'a ImageMeta) -> Self {
        let findings = meta.findings.as_slice();
        Self {
            index: meta.index,
            seed: meta.seed,
            width: meta.width,
            height: meta.height,
            media_type: meta.format.media_type(),
            url: format!("{base}/v1/jobs/{job}/images/{}", meta.index),
            moderation: (!findings.is_empty()).then_some(ImageModeration { blurred: meta.blurred, findings }),
        }
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
        Outcome::Succeeded { images, timings } => (images.as_slice(), Some(timings), None),
        Outcome::Failed(failure) => (&[][..], None, Some(failure)),
        Outcome::Canceled => (&[][..], None, None),
    };
    let payload = Payload {
        event: event.name(),
        timestamp: now.to_string(),
        data: Data {
            id: job.id,
            status: state.name(),
            mode: job.mode.name(),
            model: &job.model,
            url: format!("{base}/v1/jobs/{}", job.id),
            images: images.iter().map(|meta| Image::new(base, job.id, meta)).collect(),
            timings,
            error,
        },
    };
    match serde_json::to_string(&payload) {
        Ok(payload) => {
            vec![NewDelivery { id: format!("msg_{}", Uuid::now_v7().simple()), url: webhook.url.clone(), payload }]
        }
        Err(error) => {
            tracing::error!(job.id = %job.id, %error, "a webhook's payload cannot be serialised");
            Vec::new()
        }
    }
}
