//! The job that a request names.
//!
//! Invariant: a job that the caller may not see is as unknown as one that does not exist.

use uuid::Uuid;

use super::caller::Caller;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::records::Job;

/// The job of this id, if the caller may see it and it has not expired.
pub(crate) async fn find_visible_job(state: &AppState, caller: &Caller, id: &str) -> Result<Job, Problem> {
    let id = id.parse::<Uuid>().map_err(|_| Problem::not_found("job"))?;
    match state.jobs.get(id).await? {
        Some(job) if caller.may_see(&job) => {
            if state.jobs.is_expired(&job) {
                Err(Problem::expired("job"))
            } else {
                Ok(job)
            }
        }
        _ => Err(Problem::not_found("job")),
    }
}
