//! From a checked request to its job, and to the job's end.

use std::sync::Arc;

use uuid::Uuid;

use super::check::CheckedRequest;
use crate::domain::JobState;
use crate::http::context::AppState;
use crate::http::decoding::DecodePermit;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;
use crate::http::respond::event_stream::POLL_INTERVAL;
use crate::http::respond::files::read_stored_files;
use crate::jobs::{Accepted, AcceptedJob, Files, JobEvent, Submission};
use crate::records::{Job, JobSpec};
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

/// A request that has a job: a new one, or one that the same request made before.
pub(crate) struct Submitted {
    pub(crate) accepted: Accepted,
    /// For a known job that has not ended.
    again: Option<Repetition>,
}

/// What makes a new job where the known one is canceled.
struct Repetition {
    spec: JobSpec,
    idempotency: Idempotency,
    /// Its images stay counted until they are admitted.
    decoding: Option<DecodePermit>,
}

/// Queue a checked request. A durable job outlives the connection.
pub(crate) async fn submit_request(
    state: &AppState,
    context: &RequestContext,
    checked: CheckedRequest,
    durable: bool,
    idempotency: Option<Idempotency>,
) -> Result<Submitted, Problem> {
    let CheckedRequest { spec, decoding, .. } = checked;
    let repeated = idempotency.clone().filter(|_| !durable).map(|idempotency| (spec.clone(), idempotency));
    let accepted = submit(state, context, spec, durable, idempotency).await?;
    let is_known = matches!(&accepted, Accepted::Known(job) if !job.state.is_final());
    let again = repeated.filter(|_| is_known);
    let again = again.map(|(spec, idempotency)| Repetition { spec, idempotency, decoding });
    Ok(Submitted { accepted, again })
}

/// Submit a job, and refuse an idempotency key whose job is no longer there.
async fn submit(
    state: &AppState,
    context: &RequestContext,
    spec: JobSpec,
    durable: bool,
    idempotency: Option<Idempotency>,
) -> Result<Accepted, Problem> {
    let (owner, allowance) = (context.caller.owner().to_owned(), context.caller.allowance());
    let request_id = context.request_id.clone();
    match state.jobs.submit(Submission { spec, owner, allowance, durable, idempotency, request_id }).await? {
        Accepted::Known(job) if state.jobs.is_expired(&job) => Err(Problem::expired("job of this idempotency key")),
        accepted => Ok(accepted),
    }
}

/// Wait for the end of a request's job; its files, if it has succeeded.
pub(crate) async fn wait_for_end(
    state: &AppState,
    context: &RequestContext,
    submitted: Submitted,
) -> Result<(Arc<Job>, Files), Problem> {
    watch_to_end(state, context, submitted, |_| ()).await
}

/// The same. `watch` is called for each job that is waited for, and what it gives is kept as long.
///
/// A job that another call made ends with that call's connection, whose end may be noticed after this call has come: then there
/// is a new job, once.
pub(crate) async fn watch_to_end<G: Send>(
    state: &AppState,
    context: &RequestContext,
    submitted: Submitted,
    watch: impl Fn(Uuid) -> G + Send + Sync,
) -> Result<(Arc<Job>, Files), Problem> {
    let Submitted { accepted, again } = submitted;
    let ended = wait_once(state, context, accepted, &watch).await?;
    match again {
        Some(Repetition { spec, idempotency, decoding }) if ended.0.state == JobState::Canceled => {
            let accepted = submit(state, context, spec, false, Some(idempotency)).await?;
            drop(decoding);
            wait_once(state, context, accepted, &watch).await
        }
        _ => Ok(ended),
    }
}

async fn wait_once<G: Send>(
    state: &AppState,
    context: &RequestContext,
    accepted: Accepted,
    watch: &(impl Fn(Uuid) -> G + Send + Sync),
) -> Result<(Arc<Job>, Files), Problem> {
    let (id, mut events, _attached) = match accepted {
        Accepted::New(AcceptedJob { job, events, attached }) => (job.id, Some(events), attached),
        Accepted::Known(job) => (job.id, state.jobs.events(job.id, 0), None),
    };
    let _watched = watch(id);
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
pub(crate) async fn poll_for_end(state: &AppState, id: Uuid) -> Result<Arc<Job>, Problem> {
    loop {
        match state.jobs.get(id).await? {
            None => return Err(Problem::not_found("job")),
            Some(job) if job.state.is_final() => return Ok(Arc::new(job)),
            Some(_) if state.jobs.is_draining() => return Err(Problem::draining(POLL_INTERVAL)),
            Some(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}
