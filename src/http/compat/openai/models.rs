//! `/v1/models`: the loaded models, in OpenAI's shape with properties of their own.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::model_name::ModelName;
use super::responses::{AccessErrors, ModelErrors};
use crate::http::context::AppState;
use crate::http::error::problem::Problem;

/// All models.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<Model>,
}

/// A loaded model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Model {
    #[schema(example = "kandinsky-mini")]
    id: String,
    #[schema(example = "model")]
    object: &'static str,
    /// When it was loaded, s since 1970.
    created: i64,
    #[schema(example = "kandinsky")]
    owned_by: &'static str,
    /// Side of the square image that the model was made for, px.
    native_size: u32,
    weight_bytes: usize,
    /// Device and precision, as text.
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
            device: state.engine.devices().to_owned(),
        }
    }
}

/// List the loaded models.
#[utoipa::path(get, path = "/v1/models", tag = "models", responses(
    (status = 200, description = "All models", body = ModelList),
    AccessErrors,
))]
pub(crate) async fn list_models(State(state): State<AppState>) -> Json<ModelList> {
    Json(ModelList { object: "list", data: vec![Model::of(&state)] })
}

/// Read a model. A name of OpenAI's that requests may use is answered for the model that it stands for.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "models", params(("id" = String, Path, description = "Id of the model")), responses(
    (status = 200, description = "The model", body = Model),
    ModelErrors,
))]
pub(crate) async fn get_model(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Model>, Problem> {
    let loaded = &state.engine.info().name;
    if ModelName::new(Some(id.clone())).unknown(loaded).is_some() {
        return Err(Problem::model_not_found(&id, loaded));
    }
    Ok(Json(Model { id, ..Model::of(&state) }))
}

/// The same where the model's id has an owner.
pub(crate) async fn get_hub_model(
    state: State<AppState>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Model>, Problem> {
    get_model(state, Path(format!("{owner}/{name}"))).await
}
