//! The response of `/v1/images/...` with `stream`: partial images, then every image.
//!
//! Invariants: an image is written as its turn comes, and the files of those that wait for theirs count as part of the response;
//! a stream ends as its job does, in whichever process that runs.

use std::sync::Arc;

use axum::response::Response;
use axum::response::sse::Event;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::ErrorBody;
use super::image_answer::{Echo, Usage};
use crate::domain::JobState;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;
use crate::http::middleware::answer_permit::CountedGuard;
use crate::http::respond::event_stream::{OpenStreamGuard, stream_response};
use crate::http::respond::files::read_stored_files;
use crate::http::respond::job::problem_of;
use crate::http::respond::warning::warnings_of;
use crate::http::submission::submit::poll_for_end;
use crate::jobs::{AcceptedJob, AttachedGuard, Files, JobEvent, Subscription};
use crate::records::Job;

/// Finished images, of which some are sent.
struct Finished {
    job: Arc<Job>,
    files: Files,
    sent: usize,
    _counted: Option<CountedGuard>,
}

struct ImageStream {
    state: AppState,
    context: RequestContext,
    job: Uuid,
    /// None: the job has ended, or runs in another process.
    events: Option<Subscription>,
    echo: Echo,
    created: i64,
    format: &'static str,
    size: String,
    /// Partial images sent, per image.
    sent: Vec<u32>,
    finished: Option<Finished>,
    ended: bool,
    _attached: Option<AttachedGuard>,
    _open: OpenStreamGuard,
}

/// The events of a job.
pub(crate) fn stream_images(state: &AppState, context: &RequestContext, handle: AcceptedJob, echo: Echo) -> Response {
    let AcceptedJob { job, events, attached } = handle;
    respond_with(ImageStream::new((state, context), &job, echo, (Some(events), attached)))
}

/// The images of a job that has succeeded, as events.
pub(crate) fn stream_ended(
    state: &AppState,
    context: &RequestContext,
    (job, files): (Arc<Job>, Files),
    echo: Echo,
) -> Response {
    let mut images = ImageStream::new((state, context), &job, echo, (None, None));
    context.settle_answer(bytes_of(&files));
    images.finished = Some(Finished { job, files, sent: 0, _counted: None });
    images.ended = true;
    respond_with(images)
}

fn bytes_of(files: &Files) -> u64 {
    files.as_slice().iter().map(|file| file.len() as u64).sum()
}

fn respond_with(images: ImageStream) -> Response {
    stream_response(stream::unfold(images, |mut images| async {
        let event = images.next_event().await?;
        Some((event, images))
    }))
}

impl ImageStream {
    fn new(
        (state, context): (&AppState, &RequestContext),
        job: &Job,
        echo: Echo,
        (events, attached): (Option<Subscription>, Option<AttachedGuard>),
    ) -> Self {
        let size = job.spec.generation.size(state.engine.info().native_size);
        Self {
            state: state.clone(),
            context: context.clone(),
            job: job.id,
            events,
            echo,
            created: job.created_at / 1000,
            format: job.spec.output.format.name(),
            size: format!("{}x{}", size.width, size.height),
            sent: vec![0; job.spec.generation.common.n as usize],
            finished: None,
            ended: false,
            _attached: attached,
            _open: OpenStreamGuard::new(),
        }
    }

    /// The next finished image; the last one gives up the files.
    fn next_finished(&mut self) -> Option<Event> {
        let finished = self.finished.as_mut()?;
        let Some(file) = finished.files.as_slice().get(finished.sent) else {
            self.finished = None;
            return None;
        };
        finished.sent += 1;
        let (encoded, job) = (STANDARD.encode(file), finished.job.clone());
        let mut data = self.common(&encoded);
        drop(encoded);
        data["usage"] = serde_json::to_value(Usage::default()).unwrap_or_default();
        if !job.spec.warnings.is_empty() {
            data["warnings"] = serde_json::to_value(warnings_of(&job)).unwrap_or_default();
        }
        Some(self.event("completed", data))
    }

    /// Have the images of a job that has ended waiting; a problem if there are none. `files`: if they are at hand.
    async fn finish(&mut self, job: Arc<Job>, files: Option<Files>) -> Result<(), Problem> {
        // Its log has the files as well.
        self.events = None;
        self.ended = true;
        if job.state != JobState::Succeeded {
            return Err(problem_of(&job));
        }
        let (files, counted) = match files {
            Some(files) => {
                let counted = self.context.count_answer(bytes_of(&files));
                (files, counted)
            }
            // They count from before they are read.
            None => (read_stored_files(&self.state, &self.context, &job).await?, None),
        };
        self.finished = Some(Finished { job, files, sent: 0, _counted: counted });
        Ok(())
    }

    async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.next_finished() {
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
                let ended = match poll_for_end(&self.state, self.job).await {
                    Ok(job) => self.finish(job, None).await,
                    Err(problem) => Err(problem),
                };
                if let Err(problem) = ended {
                    self.ended = true;
                    return Some(Self::failed(&problem));
                }
                continue;
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
                    if let Err(problem) = self.finish(job.clone(), files.clone()).await {
                        return Some(Self::failed(&problem));
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
