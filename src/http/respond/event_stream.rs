//! Streams of server-sent events as responses.
//!
//! Invariant: a stream of one job ends after the job's end, in whichever process the job runs.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use uuid::Uuid;

use super::events::{EventWriter, end_number};
use super::files::read_stored_files;
use crate::domain::JobState;
use crate::http::submission::resolve::ResponseFormat;
use crate::jobs::{AttachedGuard, JobEvent, Subscription};
use crate::metrics;
use crate::records::Job;

/// How often a job that another process runs is read from the store.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after which a comment keeps the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Counts an open stream as long as it lives.
pub(crate) struct OpenStreamGuard {
    _counted: metrics::GaugeGuard,
}

impl OpenStreamGuard {
    pub(crate) fn new() -> Self {
        Self { _counted: metrics::EVENT_STREAMS.hold(1, []) }
    }
}

/// A stream of events as a response.
pub(crate) fn stream_response(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = events.map(Ok::<_, Infallible>);
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // Proxies that buffer would delay events.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The events of one job, to its end.
pub(crate) struct JobStream {
    writer: EventWriter,
    job: Uuid,
    /// None: the job runs in another process, or has ended.
    events: Option<Subscription>,
    /// The number of the last event that the client has.
    last: u64,
    ended: bool,
    /// Cancels the job when the stream is dropped.
    _attached: Option<AttachedGuard>,
    _open: OpenStreamGuard,
}

impl JobStream {
    pub(crate) fn new(
        writer: EventWriter,
        job: Uuid,
        events: Option<Subscription>,
        attached: Option<AttachedGuard>,
    ) -> Self {
        let last = writer.context.last_event_id.unwrap_or(0);
        Self { writer, job, events, last, ended: false, _attached: attached, _open: OpenStreamGuard::new() }
    }

    pub(crate) fn into_response(self) -> Response {
        stream_response(stream::unfold(self, |mut stream| async move {
            let event = stream.next_event().await?;
            Some((event, stream))
        }))
    }

    async fn next_event(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(events) = &mut self.events {
                if let Some(entry) = events.next().await {
                    // A stream must not outlive its key, except for the end that its revocation brings.
                    let is_end = matches!(entry.event, JobEvent::Ended { .. });
                    if !is_end && !self.writer.context.caller.is_still_valid(&self.writer.state).await {
                        return None;
                    }
                    self.ended = is_end;
                    self.last = entry.number;
                    if let JobEvent::Ended { job, files } = &entry.event {
                        // Its log holds the files of the images.
                        self.events = None;
                        let files = files.as_ref().map(|files| files.as_slice());
                        return Some(self.writer.write_end(job, files, end_number(job)));
                    }
                    return Some(self.writer.write_entry(&entry));
                }
                self.events = None;
            }
            let jobs = &self.writer.state.jobs;
            match jobs.get(self.job).await {
                Ok(Some(job)) if job.state.is_final() => {
                    self.ended = true;
                    return self.stored_end(&job).await;
                }
                Ok(Some(_)) if jobs.is_draining() => return None,
                Ok(None) => return None,
                Ok(Some(_)) | Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
            // It may have been taken up by this process.
            self.events = self.writer.state.jobs.events(self.job, self.last);
        }
    }

    /// The end of a job that was read from the store, unless the client has seen it: numbers of earlier events may be higher, where
    /// the clock was set back.
    async fn stored_end(&self, job: &Job) -> Option<Event> {
        let number = end_number(job);
        if self.writer.context.last_event_id == Some(number) {
            return None;
        }
        let inline = self.writer.response_format == ResponseFormat::B64Json && job.state == JobState::Succeeded;
        let files =
            if inline { read_stored_files(&self.writer.state, &self.writer.context, job).await.ok() } else { None };
        Some(self.writer.write_end(job, files.as_ref().map(|files| files.as_slice()), number))
    }
}
