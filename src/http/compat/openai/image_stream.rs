//! The response of `/v1/images/...` with `stream`: partial images, then every image.

use std::collections::VecDeque;

use axum::response::Response;
use axum::response::sse::Event;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use serde_json::{Value, json};

use super::error::ErrorBody;
use super::image_answer::{Echo, Usage};
use crate::domain::JobState;
use crate::http::error::problem::Problem;
use crate::http::respond::event_stream::{OpenStreamGuard, stream_response};
use crate::http::respond::job::problem_of;
use crate::http::respond::warning::warnings_of;
use crate::jobs::{AcceptedJob, AttachedGuard, JobEvent, Subscription};
use crate::records::Job;

struct ImageStream {
    /// None: the job has ended, and all of its events are waiting.
    events: Option<Subscription>,
    echo: Echo,
    created: i64,
    format: &'static str,
    size: String,
    /// Partial images sent, per image.
    sent: Vec<u32>,
    waiting: VecDeque<Event>,
    ended: bool,
    _attached: Option<AttachedGuard>,
    _open: OpenStreamGuard,
}

/// The events of a job. `native` is the side of the model's own square image, px.
pub(crate) fn stream_images(handle: AcceptedJob, native: u32, echo: Echo) -> Response {
    let AcceptedJob { job, events, attached } = handle;
    respond_with(ImageStream::new(&job, native, echo, (Some(events), attached)))
}

/// The images of a job that has succeeded, as events.
pub(crate) fn stream_ended(job: &Job, files: &[Vec<u8>], native: u32, echo: Echo) -> Response {
    let mut images = ImageStream::new(job, native, echo, (None, None));
    images.complete(job, files);
    respond_with(images)
}

fn respond_with(images: ImageStream) -> Response {
    stream_response(stream::unfold(images, |mut images| async {
        let event = images.next_event().await?;
        Some((event, images))
    }))
}

impl ImageStream {
    fn new(job: &Job, native: u32, echo: Echo, from: (Option<Subscription>, Option<AttachedGuard>)) -> Self {
        let size = job.spec.generation.size(native);
        let (events, attached) = from;
        Self {
            events,
            echo,
            created: job.created_at / 1000,
            format: job.spec.output.format.name(),
            size: format!("{}x{}", size.width, size.height),
            sent: vec![0; job.spec.generation.common.n as usize],
            waiting: VecDeque::new(),
            ended: false,
            _attached: attached,
            _open: OpenStreamGuard::new(),
        }
    }

    /// Let the finished images wait to be sent.
    fn complete(&mut self, job: &Job, files: &[Vec<u8>]) {
        self.ended = true;
        for file in files {
            let mut data = self.common(&STANDARD.encode(file));
            data["usage"] = serde_json::to_value(Usage::default()).unwrap_or_default();
            if !job.spec.warnings.is_empty() {
                data["warnings"] = serde_json::to_value(warnings_of(job)).unwrap_or_default();
            }
            let event = self.event("completed", data);
            self.waiting.push_back(event);
        }
    }

    async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let entry = match &mut self.events {
                Some(events) => events.next().await,
                None => None,
            };
            let Some(entry) = entry else {
                self.ended = true;
                return Some(Self::failed(&Problem::internal()));
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
                        (JobState::Succeeded, Some(files)) => self.complete(job, files),
                        _ => return Some(Self::failed(&problem_of(job))),
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

    fn failed(problem: &Problem) -> Event {
        let error = ErrorBody::from(problem);
        Event::default().event("error").data(json!({"error": error}).to_string())
    }
}
