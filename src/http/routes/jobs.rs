//! `/v1/jobs`: list, read, cancel and delete jobs.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::JobState;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::job::find_visible_job;
use crate::http::extract::request_context::RequestContext;
use crate::http::openapi::responses::{JobChangeProblems, JobListProblems, JobProblems};
use crate::http::respond::job::JobAnswer;
use crate::modes::request::names::StatusName;
use crate::records::Job;
use crate::store::JobFilter;

/// Jobs on a page: by default, and at most.
const DEFAULT_PAGE: u32 = 20;
const MAX_PAGE: u32 = 100;
/// Jobs that are read from the store at once, and bytes of texts after which a page ends: jobs with long prompts are large.
const CHUNK: u32 = 20;
const MAX_TEXTS: usize = 512 << 10;

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Number of jobs per page, at most: a page with very long prompts ends early.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<Uuid>,
    /// `queued`, `running`, `succeeded`, `failed` or `canceled`.
    #[param(value_type = Option<StatusName>, inline)]
    status: Option<String>,
}

/// A page of jobs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    data: Vec<JobAnswer>,
    has_more: bool,
    /// Cursor of the next page; null on the last page.
    next_cursor: Option<Uuid>,
}

/// List jobs, newest first.
#[utoipa::path(get, path = "/v1/jobs", params(ListQuery), tag = "jobs", responses(
    (status = 200, description = "A page of jobs", body = JobList),
    JobListProblems,
))]
pub(crate) async fn list_jobs(
    State(state): State<AppState>,
    context: RequestContext,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<JobList>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::invalid("/limit", format!("must be 1 to {MAX_PAGE}")));
    }
    let state_wanted = query.status.map(|status| status.parse::<JobState>()).transpose();
    let mut filter = JobFilter {
        owner: context.caller.listed_owner().map(str::to_owned),
        state: state_wanted.map_err(|message| Problem::invalid("/status", message))?,
        before: query.cursor,
        limit: CHUNK.min(limit + 1),
    };
    // Expired jobs stay in the store for a while: read on until the page is full.
    let (mut jobs, mut texts): (Vec<Job>, usize) = (Vec::new(), 0);
    let has_more = loop {
        let page = state.jobs.list(&filter).await?;
        let is_last = page.len() < filter.limit as usize;
        filter.before = page.last().map(|job| job.id);
        let mut chunk = page.into_iter().filter(|job| !state.jobs.is_expired(job));
        for job in chunk.by_ref() {
            texts += job.spec.generation.texts().iter().map(|(_, text)| text.len()).sum::<usize>();
            jobs.push(job);
            if texts > MAX_TEXTS {
                break;
            }
        }
        if jobs.len() > limit as usize || texts > MAX_TEXTS && jobs.len() > 1 {
            jobs.truncate((jobs.len() - 1).min(limit as usize));
            break true;
        }
        if chunk.next().is_some() {
            // A page of one job with very long texts.
            break true;
        }
        if is_last {
            break false;
        }
    };
    let next_cursor = jobs.last().map(|job| job.id).filter(|_| has_more);
    let data = jobs.iter().map(|job| JobAnswer::new(&state, &context, job)).collect();
    Ok(Json(JobList { data, has_more, next_cursor }))
}

/// Read a job.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path, description = "Id of the job")), responses(
    (status = 200, description = "The job", body = JobAnswer),
    JobProblems,
))]
pub(crate) async fn get_job(
    State(state): State<AppState>,
    context: RequestContext,
    Path(id): Path<String>,
) -> Result<Json<JobAnswer>, Problem> {
    let job = find_visible_job(&state, &context.caller, &id).await?;
    Ok(Json(JobAnswer::new(&state, &context, &job)))
}

/// Cancel a job: at once if it is queued, at its next step if it is running.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = Uuid, Path, description = "Id of the job")), responses(
    (status = 200, description = "The job's current state; a job that has ended does not change", body = JobAnswer),
    JobChangeProblems,
))]
pub(crate) async fn cancel_job(
    State(state): State<AppState>,
    context: RequestContext,
    Path(id): Path<String>,
) -> Result<Json<JobAnswer>, Problem> {
    let job = find_visible_job(&state, &context.caller, &id).await?;
    state.jobs.cancel(&job).await?;
    let job = find_visible_job(&state, &context.caller, &id).await?;
    Ok(Json(JobAnswer::new(&state, &context, &job)))
}

/// Delete a job and its images. A job that has not ended is canceled first.
#[utoipa::path(delete, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path, description = "Id of the job")), responses(
    (status = 204, description = "Deleted"),
    JobChangeProblems,
))]
pub(crate) async fn delete_job(
    State(state): State<AppState>,
    context: RequestContext,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let job = find_visible_job(&state, &context.caller, &id).await?;
    if state.jobs.delete(&job).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("job")) }
}
