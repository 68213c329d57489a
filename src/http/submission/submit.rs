//! From a checked request to its job, and to the job's end.

use std::sync::Arc;

use super::check::CheckedRequest;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;
use crate::http::respond::event_stream::POLL_INTERVAL;
use crate::http::respond::files::read_stored_files;
use crate::jobs::{Accepted, AcceptedJob, Files, JobEvent, Submission};
use crate::records::Job;
use crate::store::Idempotency;

/// What makes a request known again, if it has an idempotency key.
pub(crate) fn idempotency_of(
    context: &RequestContext,
    fingerprint: Option<String>,
) -> Result<Option<Idempotency>, Problem> {
    match &context.idempotency_key {
        Some(Err(message)) => Err(Problem::malformed(format!("Idempotency-Key {message}"))),
        Some(Ok(key)) => Ok(fingerprint.map(|fingerprint| Idempotency { key: key.clone(), fingerprint })),
        None => Ok(None),
    }
}

/// Refuse an idempotency key whose job is no longer there.
pub(crate) fn refuse_expired(state: &AppState, accepted: &Accepted) -> Result<(), Problem> {
    match accepted {
        Accepted::Known(job) if state.jobs.is_expired(job) => Err(Problem::expired("job of this idempotency key")),
        _ => Ok(()),
    }
}

/// Queue a checked request. A durable job outlives the connection.
pub(crate) async fn submit_request(
    state: &AppState,
    context: &RequestContext,
    checked: CheckedRequest,
    durable: bool,
    idempotency: Option<Idempotency>,
) -> Result<Accepted, Problem> {
    let (owner, allowance) = (context.caller.owner().to_owned(), context.caller.allowance());
    let CheckedRequest { spec, decoding, .. } = checked;
    let request_id = context.request_id.clone();
    let accepted = state.jobs.submit(Submission { spec, owner, allowance, durable, idempotency, request_id }).await;
    drop(decoding);
    Ok(accepted?)
}

/// Wait for a job's end; its files, if it has succeeded.
pub(crate) async fn wait_for_end(
    state: &AppState,
    context: &RequestContext,
    accepted: Accepted,
) -> Result<(Arc<Job>, Files), Problem> {
    let (id, mut events, _attached) = match accepted {
        Accepted::New(AcceptedJob { job, events, attached }) => (job.id, Some(events), attached),
        Accepted::Known(job) => (job.id, state.jobs.events(job.id, 0), None),
    };
    if let Some(events) = &mut events {
        while let Some(entry) = events.next().await {
            if let JobEvent::Ended { job, files } = &entry.event {
                let files = match files {
                    Some(files) => files.clone(),
                    None => read_stored_files(state, context, job).await?,
                };
                return Ok((job.clone(), files));
            }
        }
    }
    let job = poll_for_end(state, id).await?;
    let files = read_stored_files(state, context, &job).await?;
    Ok((job, files))
}

/// Wait for the end of a job that another process runs, or has run.
pub(crate) async fn poll_for_end(state: &AppState, id: uuid::Uuid) -> Result<Arc<Job>, Problem> {
    loop {
        match state.jobs.get(id).await? {
            None => return Err(Problem::not_found("job")),
            Some(job) if job.state.is_final() => return Ok(Arc::new(job)),
            Some(_) if state.jobs.is_draining() => return Err(Problem::draining(POLL_INTERVAL)),
            Some(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}
