//! `/v1/images/...`: the OpenAI Images API.

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::domain::JobState;
use crate::http::AppState;
use crate::http::answer::problem_of;
use crate::http::client::Client;
use crate::http::contract::ImagesResponses;
use crate::http::generate;
use crate::http::openai::answer::{self, Echo};
use crate::http::openai::error::OpenAiError;
use crate::http::openai::request::{EditsBody, GenerationsBody, ImagesBody, ImagesForm, VariationsBody};
use crate::http::problem::Problem;
use crate::http::request::Body;
use crate::jobs::Accepted;

/// Make pictures from a prompt, as `client.images.generate` of OpenAI's SDKs asks for them.
///
/// With `stream`, the answer is events: `image_generation.partial_image` and `image_generation.completed`.
#[utoipa::path(post, path = "/v1/images/generations", tag = "openai", request_body = GenerationsBody, responses(ImagesResponses))]
pub(in crate::http) async fn generations(
    State(state): State<AppState>,
    client: Client,
    body: Result<Body<GenerationsBody>, Problem>,
) -> Response {
    respond(&state, &client, body, "image_generation").await
}

/// Edit pictures, as `client.images.edit` of OpenAI's SDKs does: with a mask its transparent parts are repainted; without
/// one the picture is redrawn, or several are mixed with the prompt.
#[utoipa::path(post, path = "/v1/images/edits", tag = "openai", request_body(content(
    (ImagesForm = "multipart/form-data"), (EditsBody = "application/json"),
)), responses(ImagesResponses))]
pub(in crate::http) async fn edits(
    State(state): State<AppState>,
    client: Client,
    body: Result<Body<EditsBody>, Problem>,
) -> Response {
    respond(&state, &client, body, "image_edit").await
}

/// Make pictures like a picture, as `client.images.create_variation` of OpenAI's SDKs does.
#[utoipa::path(post, path = "/v1/images/variations", tag = "openai", request_body(content(
    (ImagesForm = "multipart/form-data"), (VariationsBody = "application/json"),
)), responses(ImagesResponses))]
pub(in crate::http) async fn variations(
    State(state): State<AppState>,
    client: Client,
    body: Result<Body<VariationsBody>, Problem>,
) -> Response {
    respond(&state, &client, body, "image_edit").await
}

async fn respond<B: ImagesBody>(
    state: &AppState,
    client: &Client,
    body: Result<Body<B>, Problem>,
    event: &'static str,
) -> Response {
    let unknown = body.as_ref().ok().and_then(|body| body.value.shared().unknown_model(&state.engine.info().name));
    if let Some(model) = unknown {
        return OpenAiError::unknown_model(model).into_response();
    }
    match run(state, client, body, event).await {
        Ok(response) => response,
        Err(problem) => OpenAiError::from(problem).into_response(),
    }
}

async fn run<B: ImagesBody>(
    state: &AppState,
    client: &Client,
    body: Result<Body<B>, Problem>,
    event: &'static str,
) -> Result<Response, Problem> {
    let Body { value, permit, violations, .. } = body?;
    let stream = value.shared().wants_stream();
    let echo = Echo::new(value.shared(), event);
    let checked = generate::check(state, client, value, violations, None).await?;
    drop(permit);
    let accepted = generate::submit(state, client, checked, false, None).await?;
    match accepted {
        Accepted::New(handle) if stream => Ok(answer::stream(handle, state.engine.info().native_size, echo)),
        accepted => {
            let (job, files) = generate::wait(state, accepted).await?;
            if job.state != JobState::Succeeded {
                return Err(problem_of(&job));
            }
            Ok(answer::pictures(state, client, &job, &files, &echo))
        }
    }
}
