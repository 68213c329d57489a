//! `/sdapi/v1/options`: which model is loaded, and settings of the program, of which nothing is kept.
//!
//! Invariant: a model that is not loaded is refused, so that no program draws with another one than it has set.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::responses::{WebuiErrors, WebuiOptionsErrors};
use super::unread::list_names;
use crate::domain::excerpt;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::body::Body;
use crate::modes::request::{Fields, FormBody, ReadFields, Unknown};

/// The settings of the program.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Options {
    /// The loaded model.
    #[schema(example = "kandinsky-mini")]
    sd_model_checkpoint: String,
    #[schema(example = "Automatic")]
    sd_vae: &'static str,
    #[serde(rename = "CLIP_stop_at_last_layers")]
    clip_stop_at_last_layers: u32,
    #[schema(example = "png")]
    samples_format: &'static str,
}

impl Options {
    fn of(state: &AppState) -> Self {
        Self {
            sd_model_checkpoint: state.engine.info().name.clone(),
            sd_vae: "Automatic",
            clip_stop_at_last_layers: 1,
            samples_format: "png",
        }
    }
}

/// Settings to change.
#[derive(Debug, ToSchema)]
pub(crate) struct OptionsBody {
    /// Must be the loaded model.
    #[schema(example = "kandinsky-mini")]
    sd_model_checkpoint: Option<String>,
    /// Others are taken, and not kept.
    #[schema(ignore)]
    others: Map<String, Value>,
}

impl ReadFields for OptionsBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { sd_model_checkpoint: fields.name("sd_model_checkpoint"), others: fields.take_rest() }
    }
}

impl FormBody for OptionsBody {
    const UNKNOWN: Unknown = Unknown::Reported;
}

/// What became of settings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OptionsAnswer {
    /// Settings that were not kept, in a sentence.
    warnings: Vec<String>,
}

/// Read the settings of the program.
#[utoipa::path(get, path = "/sdapi/v1/options", tag = "automatic1111", responses(
    (status = 200, description = "The settings", body = Options),
    WebuiErrors,
))]
pub(crate) async fn read_options(State(state): State<AppState>) -> Json<Options> {
    Json(Options::of(&state))
}

/// Change settings: nothing is kept, since a server has many callers. Requests can say what they want themselves.
#[utoipa::path(post, path = "/sdapi/v1/options", tag = "automatic1111", request_body = OptionsBody, responses(
    (status = 200, description = "Taken", body = OptionsAnswer),
    WebuiOptionsErrors,
))]
pub(crate) async fn set_options(
    State(state): State<AppState>,
    body: Result<Body<OptionsBody>, Problem>,
) -> Result<Json<OptionsAnswer>, Problem> {
    let Body { value, reading, .. } = body?;
    if !reading.violations.0.is_empty() {
        return Err(reading.violations.into());
    }
    let loaded = &state.engine.info().name;
    if let Some(model) = value.sd_model_checkpoint.filter(|model| model != loaded) {
        let message = format!("{} is not loaded; {loaded} is", excerpt(&model));
        return Err(Problem::invalid("/sd_model_checkpoint", message));
    }
    let own = serde_json::to_value(Options::of(&state)).unwrap_or_default();
    let changed = value.others.iter().filter(|(name, value)| own.get(name.as_str()) != Some(*value));
    let warnings = list_names("not kept", changed.map(|(name, _)| name.as_str())).into_iter().collect();
    Ok(Json(OptionsAnswer { warnings }))
}
