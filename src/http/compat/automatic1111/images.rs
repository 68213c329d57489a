//! `/sdapi/v1/txt2img` and `/sdapi/v1/img2img`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::image_answer::{WebuiEcho, WebuiImages};
use super::image_request::{Img2ImgBody, Txt2ImgBody, WebuiBody};
use super::responses::WebuiImageErrors;
use super::running::RunningJobs;
use crate::domain::JobState;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::body::Body;
use crate::http::extract::request_context::RequestContext;
use crate::http::respond::job::problem_of;
use crate::http::submission::check::{ExpectedResponse, check_request};
use crate::http::submission::submit::{idempotency_of, submit_request, watch_to_end};

/// Make images from a prompt.
#[utoipa::path(post, path = "/sdapi/v1/txt2img", tag = "automatic1111", request_body = Txt2ImgBody, responses(
    (status = 200, description = "The images", body = WebuiImages),
    WebuiImageErrors,
))]
pub(crate) async fn txt2img(
    State(state): State<AppState>,
    Extension(running): Extension<Arc<RunningJobs>>,
    context: RequestContext,
    body: Body<Txt2ImgBody>,
) -> Result<Json<WebuiImages>, Problem> {
    make_images(&state, &running, &context, body).await
}

/// Redraw an image by a prompt; with a mask, repaint what is white in it.
#[utoipa::path(post, path = "/sdapi/v1/img2img", tag = "automatic1111", request_body = Img2ImgBody, responses(
    (status = 200, description = "The images", body = WebuiImages),
    WebuiImageErrors,
))]
pub(crate) async fn img2img(
    State(state): State<AppState>,
    Extension(running): Extension<Arc<RunningJobs>>,
    context: RequestContext,
    body: Body<Img2ImgBody>,
) -> Result<Json<WebuiImages>, Problem> {
    make_images(&state, &running, &context, body).await
}

async fn make_images<B: WebuiBody>(
    state: &AppState,
    running: &Arc<RunningJobs>,
    context: &RequestContext,
    mut body: Body<B>,
) -> Result<Json<WebuiImages>, Problem> {
    let idempotency = idempotency_of(context, body.fingerprint.take())?;
    let echo: WebuiEcho = body.value.shared().echo();
    let checked = check_request(state, context, body, ExpectedResponse::default()).await?;
    let submitted = submit_request(state, context, checked, false, idempotency).await?;
    let hold = |id| running.hold(id, context.caller.owner());
    let (job, files) = watch_to_end(state, context, submitted, hold).await?;
    if job.state != JobState::Succeeded {
        return Err(problem_of(&job));
    }
    Ok(Json(WebuiImages::new(state, &job, &files, &echo)))
}
