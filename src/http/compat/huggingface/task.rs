//! The tasks about prompts and about images: `POST /models/{id}` and `POST /` give the image's bytes.

use axum::extract::{FromRequest, Path, Request, State};
use axum::http::header;
use axum::response::Response;

use super::request::{TASKS, TaskBody};
use super::responses::{ModelTaskResponses, TaskResponses};
use crate::domain::{Format, JobState};
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::accept::ResponseKind;
use crate::http::extract::body::{Body, collect, fingerprint_of_bytes, keyed_path};
use crate::http::extract::request_context::RequestContext;
use crate::http::middleware::body_permit::BodyPermit;
use crate::http::openapi::responses::ImageBytes;
use crate::http::respond::image::image_response;
use crate::http::respond::job::problem_of;
use crate::http::submission::check::{ExpectedResponse, check_request};
use crate::http::submission::submit::{idempotency_of, submit_request, wait_for_end};
use crate::imaging;
use crate::modes::request::Reading;

/// A task's body: JSON, a form, or the bytes of an image, which the client sends if there are no parameters.
pub(crate) struct Task(Body<TaskBody>);

impl<S: Send + Sync> FromRequest<S> for Task {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if media_type.is_some_and(|media_type| media_type.to_ascii_lowercase().starts_with("multipart/")) {
            return Body::from_request(request, state).await.map(Self);
        }
        let keyed_path = keyed_path(&request);
        let permit = request.extensions().get::<BodyPermit>().cloned();
        let (head, body) = request.into_parts();
        let whole = Request::from_parts(head.clone(), body);
        let bytes = collect(whole).await?;
        if imaging::has_image_signature(&bytes) {
            let fingerprint = keyed_path.map(|path| fingerprint_of_bytes(&path, &bytes));
            let value = TaskBody::of_image(bytes);
            let mut reading = Reading::default();
            reading.names.add("/image", "");
            return Ok(Self(Body { value, fingerprint, permit, reading }));
        }
        Body::from_request(Request::from_parts(head, bytes.into()), state).await.map(Self)
    }
}

/// Do a text to image or image to image task with a loaded model; the response is the image's bytes.
#[utoipa::path(post, path = "/models/{id}", tag = "huggingface", params(("id" = String, Path, description = "Id of the model")),
    request_body(content(
        (TaskBody = "application/json"), (TaskBody = "multipart/form-data"), (inline(ImageBytes) = "image/*"),
    )), responses(ModelTaskResponses))]
pub(crate) async fn task_of_model(
    State(state): State<AppState>,
    context: RequestContext,
    Path(id): Path<String>,
    task: Result<Task, Problem>,
) -> Result<Response, Problem> {
    check_model(&state, &id)?;
    run_task(&state, &context, task?).await
}

/// The same where the model's id has an owner.
pub(crate) async fn task_of_hub_model(
    state: State<AppState>,
    context: RequestContext,
    Path((owner, name)): Path<(String, String)>,
    task: Result<Task, Problem>,
) -> Result<Response, Problem> {
    task_of_model(state, context, Path(format!("{owner}/{name}")), task).await
}

/// Do a text to image or image to image task; the response is the image's bytes.
#[utoipa::path(post, path = "/", tag = "huggingface", request_body(content(
    (TaskBody = "application/json"), (TaskBody = "multipart/form-data"), (inline(ImageBytes) = "image/*"),
)), responses(TaskResponses))]
pub(crate) async fn task(
    State(state): State<AppState>,
    context: RequestContext,
    task: Task,
) -> Result<Response, Problem> {
    run_task(&state, &context, task).await
}

/// A task by its path: `/pipeline/{task}/{id}`, where `id` may have an owner.
pub(crate) async fn pipeline(
    State(state): State<AppState>,
    context: RequestContext,
    Path((name, id)): Path<(String, String)>,
    task: Result<Task, Problem>,
) -> Result<Response, Problem> {
    check_model(&state, &id)?;
    let task = task?;
    let Some((_, wants_image)) = TASKS.into_iter().find(|(task, _)| task.name() == name) else {
        let known = TASKS.map(|(task, _)| task.name()).join(" and ");
        return Err(Problem::not_found(&format!("a task of this name (there are {known})")));
    };
    if task.0.value.is_about_image() != wants_image {
        let message = if wants_image { "must be an image in base64" } else { "must be a prompt, not an image" };
        return Err(Problem::invalid("/inputs", message));
    }
    run_task(&state, &context, task).await
}

/// A task of a model by its path: `/models/{id}/pipeline/{task}`.
pub(crate) async fn pipeline_of_model(
    state: State<AppState>,
    context: RequestContext,
    Path((id, name)): Path<(String, String)>,
    task: Result<Task, Problem>,
) -> Result<Response, Problem> {
    pipeline(state, context, Path((name, id)), task).await
}

/// The same where the model's id has an owner.
pub(crate) async fn pipeline_of_hub_model(
    state: State<AppState>,
    context: RequestContext,
    Path((owner, model, name)): Path<(String, String, String)>,
    task: Result<Task, Problem>,
) -> Result<Response, Problem> {
    pipeline(state, context, Path((name, format!("{owner}/{model}"))), task).await
}

fn check_model(state: &AppState, id: &str) -> Result<(), Problem> {
    let loaded = &state.engine.info().name;
    if id == loaded { Ok(()) } else { Err(Problem::model_not_found(id, loaded)) }
}

async fn run_task(state: &AppState, context: &RequestContext, task: Task) -> Result<Response, Problem> {
    let format = match context.response_kind {
        ResponseKind::Image(Some(format)) => format,
        _ => Format::Png,
    };
    let mut body = task.0;
    let idempotency = idempotency_of(context, body.fingerprint.take())?;
    let expected = ExpectedResponse { format: Some(format), single_image: true };
    let checked = check_request(state, context, body, expected).await?;
    let submitted = submit_request(state, context, checked, false, idempotency).await?;
    let (job, files) = wait_for_end(state, context, submitted).await?;
    if job.state != JobState::Succeeded {
        return Err(problem_of(&job));
    }
    image_response((state, &context.client), &job, &files, Some(format)).await
}
