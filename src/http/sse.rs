//! Server-sent events of jobs.
//!
//! Invariants: a stream of one job ends after the job's end; every event has a number, after which a client that was cut
//! off goes on (`Last-Event-ID`).

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Stream, stream};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::AppState;
use super::answer::JobAnswer;
use super::client::Client;
use super::common::ResponseFormat;
use super::generate::stored_files;
use super::names::StageNameSchema;
use crate::domain::{Job, JobState};
use crate::jobs::{AttachedGuard, JobEvent, NumberedEvent, Subscription};
use crate::telemetry::metrics;

/// How often a job that another process runs is looked at.
pub(super) const POLL: Duration = Duration::from_secs(1);
/// Pause after which a comment keeps the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Data of the event `queued`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueuedEvent {
    job: Uuid,
    /// Jobs that go before it.
    position: usize,
    eta_ms: u64,
}

/// Data of the event `progress`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProgressEvent {
    job: Uuid,
    #[schema(value_type = StageNameSchema)]
    stage: &'static str,
    /// Of all the job's pictures together.
    step: usize,
    steps: usize,
    percent: f32,
    eta_ms: u64,
}

/// Data of the event `preview`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreviewEvent {
    job: Uuid,
    index: usize,
    step: usize,
    #[schema(example = "image/png")]
    media_type: &'static str,
    b64_json: String,
}

/// Counts an open stream as long as it lives.
pub(super) struct Open {
    _held: metrics::Held,
}

impl Open {
    pub(super) fn new() -> Self {
        Self { _held: metrics::EVENT_STREAMS.hold(1, []) }
    }
}

/// A stream of events as an answer.
pub(super) fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = futures_util::StreamExt::map(events, Ok::<_, Infallible>);
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // Proxies that buffer would hold events back.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

struct Listening {
    state: AppState,
    client: Client,
    id: Uuid,
    events: Option<Subscription>,
    form: ResponseFormat,
    ended: bool,
    _attached: Option<AttachedGuard>,
    _open: Open,
}

/// The events of one job, to its end.
pub(super) fn job_stream(
    state: &AppState,
    client: &Client,
    id: Uuid,
    events: Option<Subscription>,
    form: ResponseFormat,
    attached: Option<AttachedGuard>,
) -> Response {
    let (state, client) = (state.clone(), client.clone());
    let listening =
        Listening { state, client, id, events, form, ended: false, _attached: attached, _open: Open::new() };
    respond(stream::unfold(listening, |mut listening| async {
        let event = listening.next().await?;
        Some((event, listening))
    }))
}

impl Listening {
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        if let Some(events) = &mut self.events {
            if let Some(entry) = events.next().await {
                self.ended = matches!(entry.event, JobEvent::Ended { .. });
                return Some(event(&self.state, &self.client, &entry, self.form));
            }
            self.events = None;
        }
        // It goes on elsewhere, or has ended before.
        loop {
            match self.state.jobs.get(self.id).await {
                Ok(Some(job)) if job.state.is_final() => {
                    self.ended = true;
                    let number = end_number(&job);
                    if self.client.last_event_id.is_some_and(|last| last >= number) {
                        return None;
                    }
                    let (files, form) = match self.form {
                        ResponseFormat::B64Json if job.state == JobState::Succeeded => {
                            match stored_files(&self.state, &job).await {
                                Ok(files) => (files.to_vec(), ResponseFormat::B64Json),
                                Err(_) => (Vec::new(), ResponseFormat::Url),
                            }
                        }
                        _ => (Vec::new(), ResponseFormat::Url),
                    };
                    return Some(end(&self.state, &self.client, &job, &files, form, number));
                }
                Ok(Some(_)) if self.state.jobs.is_draining() => return None,
                Ok(None) => return None,
                Ok(Some(_)) | Err(_) => tokio::time::sleep(POLL).await,
            }
            if let Some(events) = self.state.jobs.events(self.id, 0) {
                self.events = Some(events);
                return Box::pin(self.next()).await;
            }
        }
    }
}

/// The number of an end that was not heard live: from the time of it, as the live ones are.
pub(super) fn end_number(job: &Job) -> u64 {
    u64::try_from(job.finished_at.unwrap_or(0)).unwrap_or(0).saturating_mul(1000)
}

/// An event as it goes over the wire.
pub(super) fn event(state: &AppState, client: &Client, entry: &NumberedEvent, form: ResponseFormat) -> Event {
    let (job, number) = (entry.job, entry.number);
    match &entry.event {
        JobEvent::Queued { position, eta_ms } => {
            write("queued", number, &QueuedEvent { job, position: *position, eta_ms: *eta_ms })
        }
        JobEvent::Progress { stage, step, steps, percent, eta_ms } => {
            let (stage, percent) = (*stage, *percent);
            let data = ProgressEvent { job, stage, step: *step, steps: *steps, percent, eta_ms: *eta_ms };
            write("progress", number, &data)
        }
        JobEvent::Preview { index, step, png } => {
            let (index, step, b64_json) = (*index, *step, STANDARD.encode(&**png));
            write("preview", number, &PreviewEvent { job, index, step, media_type: "image/png", b64_json })
        }
        JobEvent::Ended { job, files } => match files {
            Some(files) => end(state, client, job, files, form, number),
            None => end(state, client, job, &[], ResponseFormat::Url, number),
        },
    }
}

fn end(state: &AppState, client: &Client, job: &Job, files: &[Vec<u8>], form: ResponseFormat, number: u64) -> Event {
    let name = if job.state == JobState::Succeeded { "completed" } else { "failed" };
    write(name, number, &JobAnswer::with_files(state, client, job, files, form))
}

fn write(name: &'static str, number: u64, data: &impl Serialize) -> Event {
    let event = Event::default().event(name).id(number.to_string());
    event.json_data(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event cannot be written");
        Event::default().comment("an event was lost")
    })
}
