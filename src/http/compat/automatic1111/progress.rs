//! `/sdapi/v1/progress` and `/sdapi/v1/interrupt`: how far the caller's own images are, and stopping them.
//!
//! Invariant: no caller sees or stops the jobs of another key.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::lists::EmptyObject;
use super::responses::{WebuiErrors, WebuiInterruptErrors};
use super::running::{JobProgress, RunningJobs, progress_of};
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;

/// What a job under way shows at least: programs take 0 for "nothing to do".
const BEGUN: f32 = 0.01;

/// What to tell.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProgressQuery {
    /// Leave out the preview. Default: false.
    #[param(value_type = Option<bool>)]
    skip_current_image: Option<String>,
}

/// How far the caller's images are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProgressAnswer {
    /// Of the caller's oldest job, 0 to 1; 0 if none is under way.
    #[schema(minimum = 0, maximum = 1)]
    progress: f32,
    /// Until its end, s.
    eta_relative: f32,
    state: StateAnswer,
    /// A preview of it: a PNG in base64. Null while there is none yet, and where moderation sees images first.
    current_image: Option<String>,
    textinfo: Option<String>,
}

/// What the server does for the caller.
#[derive(Debug, Serialize, ToSchema)]
struct StateAnswer {
    skipped: bool,
    interrupted: bool,
    stopping_generation: bool,
    /// The id of the job that is told of; empty: none.
    job: String,
    /// Jobs of the caller that wait or run.
    job_count: usize,
    /// When it was accepted: year, month, day, hours, minutes, seconds (UTC).
    #[schema(example = "20260131235959")]
    job_timestamp: String,
    job_no: usize,
    /// Of the stage that it is in.
    sampling_step: usize,
    sampling_steps: usize,
}

/// Read how far the caller's images are that were asked for here.
#[utoipa::path(get, path = "/sdapi/v1/progress", tag = "automatic1111", params(ProgressQuery), responses(
    (status = 200, description = "The progress of the caller's oldest job", body = ProgressAnswer),
    WebuiErrors,
))]
pub(crate) async fn read_progress(
    State(state): State<AppState>,
    Extension(running): Extension<Arc<RunningJobs>>,
    context: RequestContext,
    query: Result<Query<ProgressQuery>, QueryRejection>,
) -> Result<Json<ProgressAnswer>, Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let skips = match query.skip_current_image.as_deref().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => true,
        "" | "false" | "0" | "no" | "off" => false,
        _ => return Err(Problem::malformed("skip_current_image must be true or false")),
    };
    let jobs = running.of_owner(context.caller.owner());
    let jobs: Vec<JobProgress> = jobs.into_iter().filter_map(|id| progress_of(&state, id)).collect();
    // The one that runs, of several; else the first in line.
    let current = jobs.iter().find(|job| job.percent > 0.0).or(jobs.first()).cloned();
    let preview = current.as_ref().and_then(|job| job.preview.clone()).filter(|_| !skips);
    let is_idle = current.is_none();
    let current = current.unwrap_or_default();
    Ok(Json(ProgressAnswer {
        progress: if is_idle { 0.0 } else { (current.percent / 100.0).clamp(BEGUN, 1.0) },
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        eta_relative: current.eta_ms as f32 / 1000.0,
        state: StateAnswer {
            skipped: false,
            interrupted: false,
            stopping_generation: false,
            job: if is_idle { String::new() } else { current.id.to_string() },
            job_count: jobs.len(),
            job_timestamp: if is_idle { String::new() } else { timestamp_of(&current) },
            job_no: 0,
            sampling_step: current.step,
            sampling_steps: current.steps,
        },
        current_image: preview.map(|png| STANDARD.encode(&*png)),
        textinfo: None,
    }))
}

/// When a job was accepted, which its id says.
fn timestamp_of(job: &JobProgress) -> String {
    let seconds = job.id.get_timestamp().map_or(0, |at| at.to_unix().0);
    timestamp(i64::try_from(seconds).unwrap_or(0) * 1000)
}

/// A time as this API writes it, from ms since 1970.
pub(super) fn timestamp(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|at| at.strftime("%Y%m%d%H%M%S").to_string()).unwrap_or_default()
}

/// Stop the caller's images that were asked for here and wait or run. Their requests end with the status 409.
#[utoipa::path(post, path = "/sdapi/v1/interrupt", tag = "automatic1111", responses(
    (status = 200, description = "They are stopped, at their next step", body = EmptyObject),
    WebuiInterruptErrors,
))]
pub(crate) async fn interrupt(
    State(state): State<AppState>,
    Extension(running): Extension<Arc<RunningJobs>>,
    context: RequestContext,
) -> Result<Json<EmptyObject>, Problem> {
    for id in running.of_owner(context.caller.owner()) {
        if let Some(job) = state.jobs.get(id).await? {
            state.jobs.cancel(&job).await?;
        }
    }
    Ok(Json(EmptyObject {}))
}
