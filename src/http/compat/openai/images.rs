//! `/v1/images/...`: the OpenAI Images API.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::image_answer::{Echo, ImagesAnswer};
use super::image_request::{EditsBody, GenerationsBody, ImagesBody, ImagesForm, VariationsBody};
use super::image_stream::{stream_ended, stream_images};
use super::responses::ImagesResponses;
use crate::domain::JobState;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::body::Body;
use crate::http::extract::request_context::RequestContext;
use crate::http::respond::job::problem_of;
use crate::http::respond::warning::add_warnings;
use crate::http::submission::check::{ExpectedResponse, check_request};
use crate::http::submission::submit::{Submitted, idempotency_of, submit_request, wait_for_end};
use crate::jobs::Accepted;

/// Generate images from a prompt: `client.images.generate` of OpenAI's SDKs.
///
/// With `stream`, the response is events: `image_generation.partial_image` and `image_generation.completed`.
#[utoipa::path(post, path = "/v1/images/generations", tag = "openai", request_body = GenerationsBody, responses(ImagesResponses))]
pub(crate) async fn generations(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<GenerationsBody>,
) -> Result<Response, Problem> {
    generate_images(&state, &context, body, "image_generation").await
}

/// Edit images: `client.images.edit` of OpenAI's SDKs. With a mask, its transparent pixels are repainted; without one, the
/// image is redrawn, or several images are mixed with the prompt.
#[utoipa::path(post, path = "/v1/images/edits", tag = "openai", request_body(content(
    (ImagesForm = "multipart/form-data"), (EditsBody = "application/json"),
)), responses(ImagesResponses))]
pub(crate) async fn edits(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<EditsBody>,
) -> Result<Response, Problem> {
    generate_images(&state, &context, body, "image_edit").await
}

/// Generate variations of an image: `client.images.create_variation` of OpenAI's SDKs.
#[utoipa::path(post, path = "/v1/images/variations", tag = "openai", request_body(content(
    (ImagesForm = "multipart/form-data"), (VariationsBody = "application/json"),
)), responses(ImagesResponses))]
pub(crate) async fn variations(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<VariationsBody>,
) -> Result<Response, Problem> {
    generate_images(&state, &context, body, "image_edit").await
}

async fn generate_images<B: ImagesBody>(
    state: &AppState,
    context: &RequestContext,
    mut body: Body<B>,
    event: &'static str,
) -> Result<Response, Problem> {
    let idempotency = idempotency_of(context, body.fingerprint.take())?;
    let info = state.engine.info();
    let shared = body.value.shared();
    if let Some(model) = shared.model().unknown(&info.name) {
        return Err(Problem::model_not_found(model, &info.name));
    }
    let stream = shared.wants_stream();
    let echo = Echo::new(shared, event);
    let checked = check_request(state, context, body, ExpectedResponse::default()).await?;
    let submitted = submit_request(state, context, checked, false, idempotency).await?;
    match submitted {
        Submitted { accepted: Accepted::New(handle), .. } if stream => Ok(stream_images(state, context, handle, echo)),
        submitted => {
            let (job, files) = wait_for_end(state, context, submitted).await?;
            if job.state != JobState::Succeeded {
                return Err(problem_of(&job));
            }
            // Of a job that was known by its idempotency key: it is not drawn again, so there are no previews.
            if stream {
                return Ok(stream_ended(state, context, (job, files), echo));
            }
            let mut response = Json(ImagesAnswer::new(state, context, &job, &files, &echo)).into_response();
            add_warnings(&job, response.headers_mut());
            Ok(response)
        }
    }
}
