//! Hugging Face's text-to-image task: `POST /models/{id}` and `POST /` give the picture's bytes.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Format, JobState};
use crate::http::answer::problem_of;
use crate::http::client::{Client, Form};
use crate::http::common::{CommonBody, PriorBody};
use crate::http::contract::{PictureFile, TaskProblems};
use crate::http::generate::{self, ModeBody};
use crate::http::image::{ImageBody, Images};
use crate::http::problem::Problem;
use crate::http::request::{Body, FormBody};
use crate::http::{AppState, object};
use crate::modes::{Input, TextToImage};

/// A task.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct TaskBody {
    /// The prompt, English or Russian.
    #[schema(example = "red heart on a blue background")]
    inputs: String,
    #[serde(default, deserialize_with = "object::optional")]
    parameters: Option<TaskParameters>,
    /// Taken and not looked at.
    #[serde(flatten)]
    #[schema(ignore)]
    _others: BTreeMap<String, serde_json::Value>,
}

/// How to do it. Others are taken and not looked at.
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
    /// A name of this server, or the class of diffusers.
    scheduler: Option<String>,
    /// Of this server.
    #[serde(default, deserialize_with = "object::optional")]
    prior: Option<PriorBody>,
}

/// The schedulers that diffusers' classes are.
fn scheduler_name(name: String) -> String {
    let name = match name.as_str() {
        "DDIMScheduler" => "ddim",
        "DDPMScheduler" => "ddpm",
        "DPMSolverMultistepScheduler" => "dpmpp_2m",
        "EulerDiscreteScheduler" => "euler",
        "EulerAncestralDiscreteScheduler" => "euler_a",
        "UniPCMultistepScheduler" => "unipc",
        _ => return name,
    };
    name.to_owned()
}

impl FormBody for TaskBody {}

impl ModeBody for TaskBody {
    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        Vec::new()
    }

    fn into_input(self, _: &mut Images) -> (CommonBody, Option<Input>) {
        let parameters = self.parameters.unwrap_or_default();
        let common = CommonBody {
            negative_prompt: parameters.negative_prompt,
            steps: parameters.num_inference_steps,
            guidance_scale: parameters.guidance_scale,
            width: parameters.width,
            height: parameters.height,
            seed: parameters.seed,
            scheduler: parameters.scheduler.map(scheduler_name),
            prior: parameters.prior,
            ..CommonBody::default()
        };
        (common, Some(Input::TextToImage(TextToImage { prompt: self.inputs })))
    }
}

/// An error as Hugging Face's client reads it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct TaskError {
    error: String,
}

impl TaskError {
    /// A problem in this form.
    pub(in crate::http) fn answer(problem: &Problem) -> Response {
        let error = Self { error: problem.message() };
        let mut response = (problem.status(), Json(error)).into_response();
        problem.add_retry_after(&mut response);
        response
    }
}

/// Do a text-to-image task with a loaded model; the answer is the picture's bytes.
#[utoipa::path(post, path = "/models/{id}", tag = "huggingface", params(("id" = String, Path, description = "Of the model")),
    request_body = TaskBody, responses(PictureFile, TaskProblems))]
pub(in crate::http) async fn task_of_model(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    body: Result<Body<TaskBody>, Problem>,
) -> Response {
    if id != state.engine.info().name {
        let error = format!("{id} is not loaded; {} is", state.engine.info().name);
        return (StatusCode::NOT_FOUND, Json(TaskError { error })).into_response();
    }
    respond(&state, &client, body).await
}

/// The same where the model's id has an owner.
pub(in crate::http) async fn task_of_hub_model(
    state: State<AppState>,
    client: Client,
    Path((owner, name)): Path<(String, String)>,
    body: Result<Body<TaskBody>, Problem>,
) -> Response {
    task_of_model(state, client, Path(format!("{owner}/{name}")), body).await
}

/// Do a text-to-image task; the answer is the picture's bytes.
#[utoipa::path(post, path = "/", tag = "huggingface", request_body = TaskBody, responses(PictureFile, TaskProblems))]
pub(in crate::http) async fn task(
    State(state): State<AppState>,
    client: Client,
    body: Result<Body<TaskBody>, Problem>,
) -> Response {
    respond(&state, &client, body).await
}

async fn respond(state: &AppState, client: &Client, body: Result<Body<TaskBody>, Problem>) -> Response {
    match run(state, client, body).await {
        Ok(response) => response,
        Err(problem) => TaskError::answer(&problem),
    }
}

async fn run(state: &AppState, client: &Client, body: Result<Body<TaskBody>, Problem>) -> Result<Response, Problem> {
    let format = match client.form {
        Form::Picture(Some(format)) => format,
        _ => Format::Png,
    };
    let Body { value, permit, violations, .. } = body?;
    let checked = generate::check(state, client, value, violations, Some(format)).await?;
    drop(permit);
    let accepted = generate::submit(state, client, checked, false, None).await?;
    let (job, files) = generate::wait(state, accepted).await?;
    if job.state != JobState::Succeeded {
        return Err(problem_of(&job));
    }
    generate::picture(state, &job, &files, Some(format)).await
}
