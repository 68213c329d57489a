//! `/v1/jobs/{id}/events` and `/v1/jobs/events`: server-sent events.

use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream;
use utoipa::IntoParams;

use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::job::find_visible_job;
use crate::http::extract::request_context::RequestContext;
use crate::http::openapi::responses::{EventProblems, EventStream, JobEventProblems};
use crate::http::respond::event_stream::{JobStream, OpenStreamGuard, stream_response};
use crate::http::respond::events::EventWriter;
use crate::http::submission::resolve::ResponseFormat;

/// The signature of a job's `events_url`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "for the contract alone; the authentication middleware checks it")]
pub(crate) struct SignedQuery {
    /// With `signature`: until when the URL needs no API key, s since 1970.
    expires: Option<String>,
    signature: Option<String>,
}

/// Listen to a job: events `queued`, `progress`, `preview`, and at the end `completed` or `failed`.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs", params(
    ("id" = Uuid, Path, description = "Id of the job"),
    ("Last-Event-ID" = Option<String>, Header, description = "Resume after this event"),
    SignedQuery,
), responses(
    EventStream,
    JobEventProblems,
))]
pub(crate) async fn job_events(
    State(state): State<AppState>,
    context: RequestContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = find_visible_job(&state, &context.caller, &id).await?;
    let events = state.jobs.events(job.id, context.last_event_id.unwrap_or(0));
    let writer = EventWriter { state, context, response_format: ResponseFormat::Url };
    Ok(JobStream::new(writer, job.id, events, None).into_response())
}

/// Listen to all jobs at once. The stream does not end.
#[utoipa::path(get, path = "/v1/jobs/events", tag = "jobs", params(
    ("Last-Event-ID" = Option<String>, Header, description = "Resume after this event. Default: from now on"),
), responses(
    EventStream,
    EventProblems,
))]
pub(crate) async fn all_events(State(state): State<AppState>, context: RequestContext) -> Response {
    let events = state.jobs.owner_events(context.caller.listed_owner(), context.last_event_id);
    let writer = EventWriter { state, context, response_format: ResponseFormat::Url };
    let listening = (events, writer, OpenStreamGuard::new());
    stream_response(stream::unfold(listening, |(mut events, writer, open)| async {
        let entry = events.next().await?;
        // A stream without an end must not outlive its key.
        if !writer.context.caller.is_still_valid(&writer.state).await {
            return None;
        }
        let event = writer.write_entry(&entry);
        Some((event, (events, writer, open)))
    }))
}
