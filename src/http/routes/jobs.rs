//! `/v1/jobs`: what becomes of requests.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::{Job, JobState};
use crate::http::AppState;
use crate::http::answer::JobAnswer;
use crate::http::client::Client;
use crate::http::common::ResponseFormat;
use crate::http::contract::{EventStream, JobProblems, KeyProblems, PictureFile};
use crate::http::generate::{Copy, rewrite, tell_blurred};
use crate::http::headers::RESOURCE_POLICY;
use crate::http::names::StatusName;
use crate::http::problem::Problem;
use crate::http::sse;
use crate::store::JobFilter;

/// Jobs on a page unless asked otherwise, and at most.
const PAGE: u32 = 20;
const LARGEST_PAGE: u32 = 100;
/// Quality of thumbnails that are lossy.
const THUMBNAIL_QUALITY: u8 = 85;
/// Widest thumbnail, px.
const WIDEST_THUMBNAIL: u32 = 4096;

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ListQuery {
    /// Jobs on a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
    /// `queued`, `running`, `succeeded`, `failed` or `canceled`.
    #[param(value_type = Option<StatusName>, inline)]
    status: Option<String>,
}

/// A page of jobs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct JobList {
    data: Vec<JobAnswer>,
    has_more: bool,
    /// Gives the next page; null after the last.
    next_cursor: Option<Uuid>,
}

/// The job of this id, if the client may see it.
async fn own(state: &AppState, client: &Client, id: &str) -> Result<Job, Problem> {
    let id = id.parse::<Uuid>().map_err(|_| Problem::missing("job"))?;
    match state.jobs.get(id).await? {
        Some(job) if client.caller.may_see(&job) => {
            if state.jobs.is_expired(&job) {
                Err(Problem::expired("job"))
            } else {
                Ok(job)
            }
        }
        _ => Err(Problem::missing("job")),
    }
}

/// List jobs, newest first.
#[utoipa::path(get, path = "/v1/jobs", params(ListQuery), tag = "jobs", responses(
    (status = 200, description = "A page of jobs", body = JobList),
    (status = 400, description = "Not parseable", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Out of range", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The storage does not answer; see Retry-After", body = Problem, content_type = "application/problem+json"),
    KeyProblems,
))]
pub(in crate::http) async fn list_jobs(
    State(state): State<AppState>,
    client: Client,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<JobList>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::invalid("/limit", format!("must be 1 to {LARGEST_PAGE}")));
    }
    let state_wanted = query.status.map(|status| status.parse::<JobState>()).transpose();
    let mut filter = JobFilter {
        owner: client.caller.listed_owner().map(str::to_owned),
        state: state_wanted.map_err(|message| Problem::invalid("/status", message))?,
        before: query.cursor,
        limit: limit + 1,
    };
    // Expired jobs are still in the store for a while; a page is filled past them.
    let mut jobs: Vec<Job> = Vec::new();
    loop {
        let page = state.jobs.list(&filter).await?;
        let is_last = page.len() < filter.limit as usize;
        filter.before = page.last().map(|job| job.id);
        jobs.extend(page.into_iter().filter(|job| !state.jobs.is_expired(job)));
        if is_last || jobs.len() > limit as usize {
            break;
        }
    }
    let has_more = jobs.len() > limit as usize;
    jobs.truncate(limit as usize);
    let next_cursor = jobs.last().map(|job| job.id).filter(|_| has_more);
    let data = jobs.iter().map(|job| JobAnswer::new(&state, &client, job)).collect();
    Ok(Json(JobList { data, has_more, next_cursor }))
}

/// Look at a job.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path, description = "Of the job")), responses(
    (status = 200, description = "The job", body = JobAnswer),
    JobProblems,
))]
pub(in crate::http) async fn get_job(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
) -> Result<Json<JobAnswer>, Problem> {
    let job = own(&state, &client, &id).await?;
    Ok(Json(JobAnswer::new(&state, &client, &job)))
}

/// Cancel a job: at once if it waits, at its next step if it runs.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = Uuid, Path, description = "Of the job")), responses(
    (status = 200, description = "The job as it is now; one that had ended stays as it was", body = JobAnswer),
    JobProblems,
))]
pub(in crate::http) async fn cancel_job(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
) -> Result<Json<JobAnswer>, Problem> {
    let job = own(&state, &client, &id).await?;
    state.jobs.cancel(&job).await?;
    let job = own(&state, &client, &id).await?;
    Ok(Json(JobAnswer::new(&state, &client, &job)))
}

/// Delete a job and its pictures. One that has not ended is canceled first.
#[utoipa::path(delete, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path, description = "Of the job")), responses(
    (status = 204, description = "Deleted"),
    JobProblems,
))]
pub(in crate::http) async fn delete_job(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let job = own(&state, &client, &id).await?;
    if state.jobs.delete(&job).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::missing("job")) }
}

/// Listen to a job: events `queued`, `progress`, `preview`, and at the end `completed` or `failed`.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs", params(
    ("id" = Uuid, Path, description = "Of the job"),
    ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event"),
), responses(
    EventStream,
    JobProblems,
))]
pub(in crate::http) async fn job_events(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = own(&state, &client, &id).await?;
    let events = state.jobs.events(job.id, client.last_event_id.unwrap_or(0));
    Ok(sse::job_stream(&state, &client, job.id, events, ResponseFormat::Url, None))
}

/// Listen to all jobs at once. The stream does not end.
#[utoipa::path(get, path = "/v1/jobs/events", tag = "jobs", params(
    ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event; absent: from now on"),
), responses(
    EventStream,
    KeyProblems,
))]
pub(in crate::http) async fn all_events(State(state): State<AppState>, client: Client) -> Response {
    let events = state.jobs.owner_events(client.caller.listed_owner(), client.last_event_id);
    let listening = (events, state, client, sse::Open::new());
    sse::respond(stream::unfold(listening, |(mut events, state, client, open)| async {
        let entry = events.next().await?;
        // A stream without an end must not outlive its key.
        if !client.caller.is_still_good(&state).await {
            return None;
        }
        let event = sse::event(&state, &client, &entry, ResponseFormat::Url);
        Some((event, (events, state, client, open)))
    }))
}

/// How a picture is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ImageQuery {
    /// px; a smaller copy of this width.
    #[param(minimum = 1, maximum = 4096)]
    width: Option<u32>,
    /// With `signature`: until when the address needs no key, s since 1970. Answers have such addresses where keys are on.
    #[expect(dead_code, reason = "checked before the request comes here")]
    expires: Option<String>,
    #[expect(dead_code, reason = "checked before the request comes here")]
    signature: Option<String>,
}

/// A finished picture's file.
#[utoipa::path(get, path = "/v1/jobs/{id}/images/{index}", tag = "jobs", params(
    ("id" = Uuid, Path, description = "Of the job"),
    ("index" = u32, Path, description = "Of the picture, from 0"),
    ("If-None-Match" = Option<String>, Header, description = "The ETag of a copy"),
    ImageQuery,
), responses(
    PictureFile,
    (status = 304, description = "The copy is good"),
    (status = 400, description = "Not parseable", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Out of range", body = Problem, content_type = "application/problem+json"),
    JobProblems,
))]
pub(in crate::http) async fn job_image(
    State(state): State<AppState>,
    client: Client,
    headers: HeaderMap,
    Path((id, index)): Path<(String, String)>,
    query: Result<Query<ImageQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    if query.width.is_some_and(|width| !(1..=WIDEST_THUMBNAIL).contains(&width)) {
        return Err(Problem::invalid("/width", format!("must be 1 to {WIDEST_THUMBNAIL} px")));
    }
    let job = own(&state, &client, &id).await?;
    let index = index.parse::<u32>().map_err(|_| Problem::missing("picture"))?;
    let Some(meta) = job.images.iter().find(|image| image.index == index) else {
        return Err(Problem::missing("picture"));
    };
    let etag = format!("\"{}-{index}-{}\"", job.id.simple(), query.width.unwrap_or(0));
    let mut cached = HeaderMap::new();
    let seconds = job.expires_at.map_or(0, |at| (at - jiff::Timestamp::now().as_millisecond()).max(0) / 1000);
    for (name, value) in [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, format!("private, max-age={seconds}, immutable")),
        // Whoever may load a picture may show it on a page of another site.
        (RESOURCE_POLICY, "cross-origin".to_owned()),
    ] {
        cached.insert(name, HeaderValue::from_str(&value).map_err(|_| Problem::internal())?);
    }
    tell_blurred(meta, &mut cached);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known
        .flat_map(|list| list.split(','))
        .any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
    {
        return Ok((StatusCode::NOT_MODIFIED, cached).into_response());
    }
    let file = state.jobs.file(&job, index).await?.ok_or_else(|| Problem::missing("picture"))?;
    let media_type = HeaderValue::from_static(meta.format.media_type());
    let file = match query.width.filter(|width| *width < meta.width) {
        Some(width) => {
            let mut output = job.spec.output;
            (output.quality, output.embed_metadata) = (output.quality.min(THUMBNAIL_QUALITY), false);
            rewrite(&state, file, Copy { job: &job, image: meta, output, width: Some(width) }).await?
        }
        None => file,
    };
    Ok(([(header::CONTENT_TYPE, media_type)], cached, file).into_response())
}
