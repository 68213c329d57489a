//! `/v1/models`: what is loaded. The shape is OpenAI's, with the model's own facts beside.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::AppState;
use crate::http::contract::KeyErrors;
use crate::http::openai::error::OpenAiError;

/// All models.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ModelList {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<Model>,
}

/// A loaded model.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Model {
    #[schema(example = "kandinsky-mini")]
    id: String,
    #[schema(example = "model")]
    object: &'static str,
    /// When it was loaded, s since 1970.
    created: i64,
    #[schema(example = "kandinsky")]
    owned_by: &'static str,
    /// Side of the square picture that it was made for, px.
    native_size: u32,
    weight_bytes: usize,
    /// Device and precision, in words.
    device: String,
}

impl Model {
    fn of(state: &AppState) -> Self {
        let info = state.engine.info();
        Self {
            id: info.name.clone(),
            object: "model",
            created: state.started / 1000,
            owned_by: "kandinsky",
            native_size: info.native_size,
            weight_bytes: info.weight_bytes,
            device: info.device.clone(),
        }
    }
}

/// List the loaded models.
#[utoipa::path(get, path = "/v1/models", tag = "models", responses(
    (status = 200, description = "All models", body = ModelList),
    KeyErrors,
))]
pub(in crate::http) async fn list_models(State(state): State<AppState>) -> Json<ModelList> {
    Json(ModelList { object: "list", data: vec![Model::of(&state)] })
}

/// Look at a model.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "models", params(("id" = String, Path, description = "Of the model")), responses(
    (status = 200, description = "The model", body = Model),
    (status = 404, description = "Not loaded", body = OpenAiError),
    KeyErrors,
))]
pub(in crate::http) async fn get_model(State(state): State<AppState>, Path(id): Path<String>) -> Response {
    if id == state.engine.info().name {
        return Json(Model::of(&state)).into_response();
    }
    OpenAiError::unknown_model(&id).into_response()
}

/// The same where the model's id has an owner.
pub(in crate::http) async fn get_hub_model(
    state: State<AppState>,
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    get_model(state, Path(format!("{owner}/{name}"))).await
}
