//! What the routes of all modes do: check, submit, answer.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::IntoParams;

use crate::domain::JobState;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::accept::ResponseKind;
use crate::http::extract::body::Body;
use crate::http::extract::request_context::RequestContext;
use crate::http::respond::event_stream::JobStream;
use crate::http::respond::events::EventWriter;
use crate::http::respond::image::image_response;
use crate::http::respond::job::{JobAnswer, problem_of};
use crate::http::submission::check::{ExpectedResponse, check_request};
use crate::http::submission::resolve::ResponseFormat;
use crate::http::submission::submit::{idempotency_of, submit_request, wait_for_end};
use crate::jobs::{Accepted, AcceptedJob};
use crate::modes::request::ModeBody;
use crate::records::Job;

/// Make images in the mode of this body.
pub(crate) async fn generate<B: ModeBody>(
    state: &AppState,
    context: &RequestContext,
    mut body: Body<B>,
) -> Result<Response, Problem> {
    let idempotency = idempotency_of(context, body.fingerprint.take())?;
    let format = match context.response_kind {
        ResponseKind::Image(format) => format,
        _ => None,
    };
    let single_image = matches!(context.response_kind, ResponseKind::Image(_)) && !context.respond_async;
    let expected = ExpectedResponse { format, single_image };
    let checked = check_request(state, context, body, expected).await?;
    let response_format = checked.response_format;
    let submitted = submit_request(state, context, checked, context.respond_async, idempotency).await?;
    match context.response_kind {
        ResponseKind::Events => Ok(stream_events(state, context, submitted.accepted, response_format)),
        _ if context.respond_async => Ok(answer_accepted(state, context, &submitted.accepted)),
        kind => {
            let (job, files) = wait_for_end(state, context, submitted).await?;
            if job.state != JobState::Succeeded {
                return Err(problem_of(&job));
            }
            match kind {
                ResponseKind::Image(format) => image_response((state, &context.client), &job, &files, format).await,
                _ => Ok(Json(JobAnswer::with_files(state, context, &job, &files, response_format)).into_response()),
            }
        }
    }
}

fn answer_accepted(state: &AppState, context: &RequestContext, accepted: &Accepted) -> Response {
    let job: &Job = match accepted {
        Accepted::New(handle) => &handle.job,
        Accepted::Known(job) => job,
    };
    let location = context.address.path(&format!("/v1/jobs/{}", job.id));
    let headers = [
        (header::LOCATION, location),
        (header::HeaderName::from_static("preference-applied"), "respond-async".to_owned()),
    ];
    (StatusCode::ACCEPTED, headers, Json(JobAnswer::new(state, context, job))).into_response()
}

fn stream_events(
    state: &AppState,
    context: &RequestContext,
    accepted: Accepted,
    response_format: ResponseFormat,
) -> Response {
    let writer = EventWriter { state: state.clone(), context: context.clone(), response_format };
    match accepted {
        Accepted::New(AcceptedJob { job, events, attached }) => {
            JobStream::new(writer, job.id, Some(events), attached).into_response()
        }
        Accepted::Known(job) => {
            let events = state.jobs.events(job.id, 0);
            JobStream::new(writer, job.id, events, None).into_response()
        }
    }
}

/// The headers that every generation route knows, for the contract.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "for the contract alone; `RequestContext` reads the headers")]
pub(crate) struct GenerationHeaders {
    /// `respond-async`: respond at once with the job, which outlives the connection.
    #[param(rename = "Prefer")]
    prefer: Option<String>,
    /// The same key with the same body gives the same job; with a different body it is refused (422), and when the job has expired,
    /// too (410).
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
}
