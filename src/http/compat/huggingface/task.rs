//! The text-to-image task: `POST /models/{id}` and `POST /` give the image's bytes.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{Format, JobState, Violations};
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::accept::ResponseKind;
use crate::http::extract::body::Body;
use crate::http::extract::request_context::RequestContext;
use crate::http::openapi::responses::{ImageFile, TaskProblems};
use crate::http::respond::image::image_response;
use crate::http::respond::job::problem_of;
use crate::http::submission::check::{ExpectedResponse, check_request};
use crate::http::submission::submit::{submit_request, wait_for_end};
use crate::modes::request::{CommonBody, FormBody, ImageBody, ImageDecoder, ModeBody, PriorBody, object};
use crate::modes::{Input, Mode, TextToImage};
use crate::schedulers;

/// A task.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct TaskBody {
    /// The prompt, English or Russian.
    #[schema(example = "red heart on a blue background")]
    inputs: String,
    #[serde(default, deserialize_with = "object::optional")]
    parameters: Option<TaskParameters>,
    /// Accepted and ignored.
    #[serde(flatten)]
    #[schema(ignore)]
    _others: BTreeMap<String, serde_json::Value>,
}

/// Parameters of the task. Others are accepted and ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct TaskParameters {
    negative_prompt: Option<String>,
    #[schema(minimum = 1)]
    num_inference_steps: Option<u32>,
    guidance_scale: Option<f32>,
    /// px
    #[schema(minimum = 1)]
    width: Option<u32>,
    /// px
    #[schema(minimum = 1)]
    height: Option<u32>,
    #[schema(minimum = 0)]
    seed: Option<u64>,
    /// A name of this server, or the class name of diffusers.
    scheduler: Option<String>,
    /// An extension of this server.
    #[serde(default, deserialize_with = "object::optional")]
    prior: Option<PriorBody>,
}

/// A scheduler's name, where a request gives diffusers' class instead.
fn scheduler_name(name: String) -> String {
    schedulers::find_by_class(&name).map_or(name, |info| info.name.to_owned())
}

impl FormBody for TaskBody {}

impl ModeBody for TaskBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::TextToImage)
    }

    fn take_common(&mut self, _: &mut Violations) -> CommonBody {
        let parameters = self.parameters.take().unwrap_or_default();
        CommonBody {
            negative_prompt: parameters.negative_prompt,
            steps: parameters.num_inference_steps,
            guidance_scale: parameters.guidance_scale,
            width: parameters.width,
            height: parameters.height,
            seed: parameters.seed,
            scheduler: parameters.scheduler.map(scheduler_name),
            prior: parameters.prior,
            ..CommonBody::default()
        }
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        vec![("/inputs".to_owned(), &self.inputs)]
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        Vec::new()
    }

    fn into_input(self, _: &mut ImageDecoder) -> Option<Input> {
        Some(TextToImage { prompt: self.inputs }.into())
    }
}

/// Do a text-to-image task with a loaded model; the response is the image's bytes.
#[utoipa::path(post, path = "/models/{id}", tag = "huggingface", params(("id" = String, Path, description = "Id of the model")),
    request_body = TaskBody, responses(ImageFile, TaskProblems))]
pub(crate) async fn task_of_model(
    State(state): State<AppState>,
    context: RequestContext,
    Path(id): Path<String>,
    body: Result<Body<TaskBody>, Problem>,
) -> Result<Response, Problem> {
    if id != state.engine.info().name {
        return Err(Problem::model_not_found(&id));
    }
    run_task(&state, &context, body?).await
}

/// The same where the model's id has an owner.
pub(crate) async fn task_of_hub_model(
    state: State<AppState>,
    context: RequestContext,
    Path((owner, name)): Path<(String, String)>,
    body: Result<Body<TaskBody>, Problem>,
) -> Result<Response, Problem> {
    task_of_model(state, context, Path(format!("{owner}/{name}")), body).await
}

/// Do a text-to-image task; the response is the image's bytes.
#[utoipa::path(post, path = "/", tag = "huggingface", request_body = TaskBody, responses(ImageFile, TaskProblems))]
pub(crate) async fn task(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<TaskBody>,
) -> Result<Response, Problem> {
    run_task(&state, &context, body).await
}

async fn run_task(state: &AppState, context: &RequestContext, body: Body<TaskBody>) -> Result<Response, Problem> {
    let format = match context.response_kind {
        ResponseKind::Image(Some(format)) => format,
        _ => Format::Png,
    };
    let expected = ExpectedResponse { format: Some(format), single_image: true };
    let checked = check_request(state, context, body, expected).await?;
    let accepted = submit_request(state, context, checked, false, None).await?;
    let (job, files) = wait_for_end(state, context, accepted).await?;
    if job.state != JobState::Succeeded {
        return Err(problem_of(&job));
    }
    image_response(state, &job, &files, Some(format)).await
}
