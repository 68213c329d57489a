//! From a generation request to its answer, in whatever form the client wants it.
//!
//! Invariant: everything that can be wrong with a request is said before anything is queued, all at once.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use super::AppState;
use super::answer::{JobAnswer, problem_of};
use super::client::{Client, Form};
use super::common::{CommonBody, ResponseFormat};
use super::image::{ImageBody, Images, fetch as fetch_images};
use super::moderate;
use super::parameters::Parameters;
use super::problem::Problem;
use super::request::{Body, FormBody};
use super::sse;
use crate::domain::{Format, Generation, ImageMeta, Input, Job, JobSpec, JobState, Output, Violations};
use crate::imaging;
use crate::jobs::{Accepted, AcceptedJob, Files, JobEvent, Submission, Subscription};
use crate::store::Idempotency;

/// A mode's request.
pub(super) trait ModeBody: FormBody + Send + 'static {
    /// All pictures in it, each with its JSON pointer.
    fn images(&mut self) -> Vec<(String, &mut ImageBody)>;

    /// Its shared fields and its own, the pictures decoded; None where one was bad and said so.
    fn into_input(self, images: &mut Images) -> (CommonBody, Option<Input>);
}

/// A checked request, and the form of its pictures.
pub(super) struct Checked {
    pub(super) spec: JobSpec,
    pub(super) response_format: ResponseFormat,
    /// Keeps others from decoding pictures until these are admitted or refused.
    pub(super) decoding: Option<OwnedSemaphorePermit>,
}

/// The whole way of a native route.
pub(super) async fn generate<B: ModeBody>(
    state: &AppState,
    client: &Client,
    body: Body<B>,
) -> Result<Response, Problem> {
    let Body { value, fingerprint, permit, violations } = body;
    let key = match &client.idempotency_key {
        Some(Err(message)) => return Err(Problem::malformed(format!("Idempotency-Key {message}"))),
        Some(Ok(key)) => Some(Idempotency { key: key.clone(), fingerprint }),
        None => None,
    };
    let format = match client.form {
        Form::Picture(format) => format,
        _ => None,
    };
    let checked = check(state, client, value, violations, format).await?;
    drop(permit);
    if matches!(client.form, Form::Picture(_)) && !client.respond_async && checked.spec.generation.common.n > 1 {
        return Err(Problem::invalid("/n", "must be 1 where the answer is one picture"));
    }
    let response_format = checked.response_format;
    let accepted = submit(state, client, checked, client.respond_async, key).await?;
    if let Accepted::Known(job) = &accepted
        && state.jobs.is_expired(job)
    {
        return Err(Problem::expired("job of this idempotency key"));
    }
    match client.form {
        Form::Events => Ok(events_of(state, client, accepted, response_format)),
        _ if client.respond_async => Ok(accepted_answer(state, client, &accepted)),
        form => {
            let (job, files) = wait(state, accepted).await?;
            if job.state != JobState::Succeeded {
                return Err(problem_of(&job));
            }
            match form {
                Form::Picture(format) => picture(state, &job, &files, format).await,
                _ => Ok(Json(JobAnswer::with_files(state, client, &job, &files, response_format)).into_response()),
            }
        }
    }
}

/// Read the pictures, resolve, check and moderate a request.
pub(super) async fn check<B: ModeBody>(
    state: &AppState,
    client: &Client,
    mut body: B,
    mut violations: Violations,
    format: Option<Format>,
) -> Result<Checked, Problem> {
    client.caller.check_any_mode()?;
    fetch_images(state, client, body.images(), &mut violations).await?;
    let permit = if body.images().is_empty() { None } else { Some(state.decoding.clone().acquire_owned().await) };
    let permit = permit.transpose().map_err(|_| Problem::internal())?;
    let limits = state.limits.clone();
    let decoding = tokio::task::spawn_blocking(move || {
        let mut images = Images::new(&limits, violations);
        let (common, input) = body.into_input(&mut images);
        (common, input, images)
    });
    let (common, input, images) = decoding.await.map_err(|error| {
        tracing::error!(%error, "reading a request's pictures failed");
        Problem::internal()
    })?;
    let mut violations = images.into_problem()?;
    let mut resolved = common.resolve(state, &mut violations);
    let response_format = resolved.response_format;
    let Some(input) = input else { return Err(violations.into()) };
    let info = state.engine.info();
    let generation = Generation { input, common: resolved.common.clone() };
    let mode = generation.mode();
    client.caller.check_mode(mode)?;
    resolved.priority = Some(client.caller.priority(resolved.priority)?);
    if let Some((_, reason)) = info.unavailable.iter().find(|(other, _)| *other == mode) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported", reason.clone()));
    }
    let mut spec = resolved.into_spec(generation, state, format, &mut violations);
    if let Err(more) = spec.generation.check(&state.limits, Some(info.native_size)) {
        violations.0.extend(more.0);
    }
    if !violations.0.is_empty() {
        return Err(violations.into());
    }
    if state.output_moderation.is_some() {
        // Nobody judges previews, so there are none.
        spec.preview_interval = 0;
    }
    spec.moderation_policy = client.caller.moderation_policy().map(str::to_owned);
    spec.findings = moderate::texts(state, client, &spec.generation.texts()).await?;
    spec.parameters = serde_json::to_string(&Parameters::of(&spec, info)).unwrap_or_default();
    Ok(Checked { spec, response_format, decoding: permit })
}

/// Queue a checked request.
pub(super) async fn submit(
    state: &AppState,
    client: &Client,
    checked: Checked,
    durable: bool,
    idempotency: Option<Idempotency>,
) -> Result<Accepted, Problem> {
    let (owner, allowance) = (client.caller.owner().to_owned(), client.caller.allowance());
    let Checked { spec, decoding, .. } = checked;
    let request_id = client.request_id.clone();
    let accepted = state.jobs.submit(Submission { spec, owner, allowance, durable, idempotency, request_id }).await;
    drop(decoding);
    Ok(accepted?)
}

/// Wait for a job's end; its files, if it has succeeded.
pub(super) async fn wait(state: &AppState, accepted: Accepted) -> Result<(Arc<Job>, Files), Problem> {
    let (id, mut events, _handle) = match accepted {
        Accepted::New(handle) => {
            let AcceptedJob { job, events, attached } = handle;
            (job.id, Some(events), attached)
        }
        Accepted::Known(job) => (job.id, state.jobs.events(job.id, 0), None),
    };
    if let Some(events) = &mut events {
        while let Some(entry) = events.next().await {
            if let JobEvent::Ended { job, files } = &entry.event {
                let files = match files {
                    Some(files) => files.clone(),
                    None => stored_files(state, job).await?,
                };
                return Ok((job.clone(), files));
            }
        }
    }
    let job = follow_in_store(state, id).await?;
    let files = stored_files(state, &job).await?;
    Ok((job, files))
}

/// Wait for the end of a job that another process runs, or has run.
async fn follow_in_store(state: &AppState, id: uuid::Uuid) -> Result<Arc<Job>, Problem> {
    loop {
        match state.jobs.get(id).await? {
            None => return Err(Problem::missing("job")),
            Some(job) if job.state.is_final() => return Ok(Arc::new(job)),
            Some(_) if state.jobs.is_draining() => {
                return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "the server is about to stop")
                    .retry_after(sse::POLL));
            }
            Some(_) => tokio::time::sleep(sse::POLL).await,
        }
    }
}

/// The files of a job's pictures.
pub(super) async fn stored_files(state: &AppState, job: &Job) -> Result<Files, Problem> {
    let mut files = Vec::with_capacity(job.images.len());
    for image in &job.images {
        files.push(state.jobs.file(job, image.index).await?.ok_or_else(|| Problem::missing("picture"))?);
    }
    Ok(Files::new(files))
}

fn accepted_answer(state: &AppState, client: &Client, accepted: &Accepted) -> Response {
    let job: &Job = match accepted {
        Accepted::New(handle) => &handle.job,
        Accepted::Known(job) => job,
    };
    let location = format!("/v1/jobs/{}", job.id);
    let headers = [
        (header::LOCATION, location),
        (header::HeaderName::from_static("preference-applied"), "respond-async".to_owned()),
    ];
    (StatusCode::ACCEPTED, headers, Json(JobAnswer::new(state, client, job))).into_response()
}

fn events_of(state: &AppState, client: &Client, accepted: Accepted, form: ResponseFormat) -> Response {
    match accepted {
        Accepted::New(AcceptedJob { job, events, attached }) => {
            sse::job_stream(state, client, job.id, Some(events), form, attached)
        }
        Accepted::Known(job) => {
            let events: Option<Subscription> = state.jobs.events(job.id, 0);
            sse::job_stream(state, client, job.id, events, form, None)
        }
    }
}

/// The bytes of the one picture.
pub(super) async fn picture(
    state: &AppState,
    job: &Job,
    files: &Files,
    wanted: Option<Format>,
) -> Result<Response, Problem> {
    let (Some(image), Some(file)) = (job.images.first(), files.first()) else { return Err(Problem::internal()) };
    let file = file.clone();
    let (format, file) = match wanted {
        // The job is an earlier one of the same idempotency key.
        Some(format) if format != image.format => {
            let copy = Copy { job, image, output: Output { format, ..job.spec.output }, width: None };
            (format, rewrite(state, file, copy).await?)
        }
        _ => (image.format, file),
    };
    let mut response = ([(header::CONTENT_TYPE, format.media_type())], file).into_response();
    let headers = response.headers_mut();
    headers.insert("x-seed", HeaderValue::from(image.seed));
    tell_blurred(image, headers);
    if let Ok(id) = HeaderValue::from_str(&job.id.to_string()) {
        headers.insert("x-job-id", id);
    }
    Ok(response)
}

/// Say of a picture's file that moderation made it unrecognisable, if it did.
pub(super) fn tell_blurred(image: &ImageMeta, headers: &mut HeaderMap) {
    if image.blurred {
        headers.insert("x-moderation", HeaderValue::from_static("blurred"));
    }
}

/// How a stored picture is to be written anew.
pub(super) struct Copy<'a> {
    pub(super) job: &'a Job,
    pub(super) image: &'a ImageMeta,
    pub(super) output: Output,
    /// Of a thumbnail, px; None: as large as it is.
    pub(super) width: Option<u32>,
}

/// A stored picture written anew.
pub(super) async fn rewrite(state: &AppState, file: Vec<u8>, copy: Copy<'_>) -> Result<Vec<u8>, Problem> {
    let Copy { job, image, output, width } = copy;
    let (encoder, mode, seed) = (state.encoder.clone(), job.mode, image.seed);
    let (parameters, full) = (job.spec.parameters.clone(), image.width);
    let made = tokio::task::spawn_blocking(move || {
        let picture = imaging::thumbnail(&file, width.unwrap_or(full)).map_err(|error| error.to_string())?;
        let metadata = imaging::Metadata { mode, seed, parameters: &parameters };
        let made = match width {
            Some(_) => encoder.unsigned(&picture, &output, &metadata),
            None => encoder.finished(&picture, &output, &metadata),
        };
        made.map_err(|error| error.to_string())
    });
    made.await.map_err(|error| error.to_string()).and_then(|made| made).map_err(|error| {
        tracing::error!(error, "a stored picture cannot be written anew");
        Problem::internal()
    })
}

/// The headers that every generation route knows, for the contract.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the contract alone; the client's extractor reads the headers")]
pub(super) struct GenerationHeaders {
    /// `respond-async`: answer at once with the job, which outlives the connection.
    #[param(rename = "Prefer")]
    prefer: Option<String>,
    /// The same key with the same body gives the same job.
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
}
