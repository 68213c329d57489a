//! Answers in OpenAI's shape: all pictures at once, or events.

use axum::Json;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::error::OpenAiError;
use super::request::SharedFields;
use crate::domain::{Job, JobState};
use crate::http::AppState;
use crate::http::answer::{ImageModeration, image_url, problem_of};
use crate::http::client::Client;
use crate::http::common::ResponseFormat;
use crate::http::problem::Problem;
use crate::http::sse;
use crate::jobs::{AcceptedJob, AttachedGuard, Files, JobEvent, Subscription};

/// Pictures as OpenAI's SDKs read them.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ImagesAnswer {
    /// Of this server: the job.
    id: uuid::Uuid,
    /// s since 1970.
    created: i64,
    data: Vec<ImageData>,
    #[schema(example = "opaque")]
    background: &'static str,
    #[schema(example = "png")]
    output_format: &'static str,
    #[schema(example = "medium")]
    quality: &'static str,
    #[schema(example = "64x64")]
    size: String,
    usage: Usage,
}

/// A picture.
#[derive(Debug, Serialize, ToSchema)]
struct ImageData {
    #[serde(skip_serializing_if = "Option::is_none")]
    b64_json: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Of this server: makes this picture alone.
    seed: u64,
    /// Of this server: what moderation found in it, if that is anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation: Option<ImageModeration>,
}

/// Nothing is counted in tokens here.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
struct Usage {
    total_tokens: u32,
    input_tokens: u32,
    output_tokens: u32,
    input_tokens_details: UsageDetails,
}

#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
struct UsageDetails {
    text_tokens: u32,
    image_tokens: u32,
}

/// What an answer repeats of its request.
#[derive(Debug, Clone)]
pub(in crate::http) struct Echo {
    pub(in crate::http) form: ResponseFormat,
    quality: &'static str,
    partial_images: u32,
    /// `image_generation` or `image_edit`.
    event: &'static str,
}

impl Echo {
    pub(in crate::http) fn new(shared: &SharedFields, event: &'static str) -> Self {
        let quality = shared.quality_name();
        Self { form: shared.response_format(), quality, partial_images: shared.partial_images(), event }
    }
}

fn size_of(job: &Job) -> String {
    job.images.first().map_or_else(|| "auto".to_owned(), |image| format!("{}x{}", image.width, image.height))
}

/// The pictures of a job that has succeeded.
pub(in crate::http) fn pictures(state: &AppState, client: &Client, job: &Job, files: &Files, echo: &Echo) -> Response {
    let data = job.images.iter().zip(files.iter()).map(|(image, file)| {
        let inline = echo.form == ResponseFormat::B64Json;
        ImageData {
            b64_json: inline.then(|| STANDARD.encode(file)),
            url: (!inline).then(|| image_url(state, client, job.id, image.index)),
            seed: image.seed,
            moderation: ImageModeration::of(image),
        }
    });
    Json(ImagesAnswer {
        id: job.id,
        created: job.created_at / 1000,
        data: data.collect(),
        background: "opaque",
        output_format: job.spec.output.format.name(),
        quality: echo.quality,
        size: size_of(job),
        usage: Usage::default(),
    })
    .into_response()
}

struct Streaming {
    events: Subscription,
    echo: Echo,
    created: i64,
    format: &'static str,
    size: String,
    /// Partial pictures sent, per picture.
    sent: Vec<u32>,
    waiting: std::collections::VecDeque<Event>,
    ended: bool,
    _attached: Option<AttachedGuard>,
    _open: sse::Open,
}

/// The events of a job: partial pictures, then every picture.
pub(in crate::http) fn stream(handle: AcceptedJob, native: u32, echo: Echo) -> Response {
    let AcceptedJob { job, events, attached } = handle;
    let size = job.spec.generation.size(native);
    let streaming = Streaming {
        events,
        echo,
        created: job.created_at / 1000,
        format: job.spec.output.format.name(),
        size: format!("{}x{}", size.width, size.height),
        sent: vec![0; job.spec.generation.common.n as usize],
        waiting: std::collections::VecDeque::new(),
        ended: false,
        _attached: attached,
        _open: sse::Open::new(),
    };
    sse::respond(stream::unfold(streaming, |mut streaming| async {
        let event = streaming.next().await?;
        Some((event, streaming))
    }))
}

impl Streaming {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let Some(entry) = self.events.next().await else {
                self.ended = true;
                return Some(Self::failed(Problem::internal()));
            };
            match &entry.event {
                JobEvent::Preview { index, png, .. } => {
                    let Some(sent) = self.sent.get_mut(*index).filter(|sent| **sent < self.echo.partial_images) else {
                        continue;
                    };
                    let number = *sent;
                    *sent += 1;
                    let mut data = self.common(&STANDARD.encode(&**png));
                    data["partial_image_index"] = json!(number);
                    return Some(self.event("partial_image", data));
                }
                JobEvent::Ended { job, files } => {
                    self.ended = true;
                    match (job.state, files) {
                        (JobState::Succeeded, Some(files)) => {
                            for file in files.iter() {
                                let mut data = self.common(&STANDARD.encode(file));
                                data["usage"] = serde_json::to_value(Usage::default()).unwrap_or_default();
                                let event = self.event("completed", data);
                                self.waiting.push_back(event);
                            }
                        }
                        _ => return Some(Self::failed(problem_of(job))),
                    }
                }
                JobEvent::Queued { .. } | JobEvent::Progress { .. } => {}
            }
        }
    }

    fn common(&self, b64_json: &str) -> Value {
        json!({
            "b64_json": b64_json,
            "created_at": self.created,
            "size": self.size,
            "quality": self.echo.quality,
            "background": "opaque",
            "output_format": self.format,
        })
    }

    fn event(&self, kind: &str, mut data: Value) -> Event {
        let name = format!("{}.{kind}", self.echo.event);
        data["type"] = json!(name);
        Event::default().event(name).data(data.to_string())
    }

    fn failed(problem: Problem) -> Event {
        let error = OpenAiError::from(problem);
        Event::default().event("error").data(json!({"error": error.body()}).to_string())
    }
}
