//! Server-sent events of jobs: their shapes, and one event as it goes over the wire.
//!
//! Invariant: every event has a number, from which an interrupted client resumes (`Last-Event-ID`).

use axum::response::sse::Event;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::job::JobAnswer;
use crate::domain::JobState;
use crate::http::context::AppState;
use crate::http::extract::request_context::RequestContext;
use crate::http::names::StageNameSchema;
use crate::http::submission::resolve::ResponseFormat;
use crate::jobs::{JobEvent, NumberedEvent};
use crate::records::Job;

/// Data of the event `queued`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueuedEvent {
    job: Uuid,
    /// Number of jobs ahead of it.
    position: usize,
    eta_ms: u64,
}

/// Data of the event `progress`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProgressEvent {
    job: Uuid,
    #[schema(value_type = StageNameSchema)]
    stage: &'static str,
    /// Steps of all the job's images together.
    step: usize,
    steps: usize,
    percent: f32,
    eta_ms: u64,
}

/// Data of the event `preview`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewEvent {
    job: Uuid,
    index: usize,
    step: usize,
    #[schema(example = "image/png")]
    media_type: &'static str,
    b64_json: String,
}

/// Writes the events of one response.
#[derive(Clone)]
pub(crate) struct EventWriter {
    pub(crate) state: AppState,
    pub(crate) context: RequestContext,
    pub(crate) response_format: ResponseFormat,
}

impl EventWriter {
    /// An event of a job that runs in this process.
    pub(crate) fn write_entry(&self, entry: &NumberedEvent) -> Event {
        let (job, number) = (entry.job, entry.number);
        match &entry.event {
            JobEvent::Queued { position, eta_ms } => {
                write_data("queued", number, &QueuedEvent { job, position: *position, eta_ms: *eta_ms })
            }
            JobEvent::Progress { stage, step, steps, percent, eta_ms } => {
                let (stage, percent) = (*stage, *percent);
                let data = ProgressEvent { job, stage, step: *step, steps: *steps, percent, eta_ms: *eta_ms };
                write_data("progress", number, &data)
            }
            JobEvent::Preview { index, step, png } => {
                let (index, step, b64_json) = (*index, *step, STANDARD.encode(&**png));
                write_data("preview", number, &PreviewEvent { job, index, step, media_type: "image/png", b64_json })
            }
            JobEvent::Ended { job, files } => {
                let files = files.as_ref().map(|files| files.as_slice());
                self.write_end(job, files, number)
            }
        }
    }

    /// The end of a job. Without its files, its images are URLs whatever the response format.
    pub(crate) fn write_end(&self, job: &Job, files: Option<&[Vec<u8>]>, number: u64) -> Event {
        let name = if job.state == JobState::Succeeded { "completed" } else { "failed" };
        let answer = match files {
            Some(files) => JobAnswer::with_files(&self.state, &self.context, job, files, self.response_format),
            None => JobAnswer::new(&self.state, &self.context, job),
        };
        write_data(name, number, &answer)
    }
}

/// The number of an end on the stream of its job, heard live or read from the store: from its time, as numbers of live events are.
/// Of its millisecond the last one, after whatever happened in that.
pub(crate) fn end_number(job: &Job) -> u64 {
    u64::try_from(job.finished_at.unwrap_or(0)).unwrap_or(0).saturating_mul(1000).saturating_add(999)
}

fn write_data(name: &'static str, number: u64, data: &impl Serialize) -> Event {
    let event = Event::default().event(name).id(number.to_string());
    event.json_data(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event cannot be serialized");
        Event::default().comment("an event was dropped")
    })
}
