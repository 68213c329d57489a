//! `/v1/styles`: named styles.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::editor;
use crate::http::context::AppState;
use crate::http::openapi::responses::AccessProblems;

/// All styles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StyleList {
    data: Vec<StyleAnswer>,
}

/// A style: words that are added to prompts.
#[derive(Debug, Serialize, ToSchema)]
struct StyleAnswer {
    /// The name in requests.
    #[schema(example = "watercolour")]
    name: String,
    title: Titles,
    /// Words added to every prompt.
    prompt: String,
    /// Words added to the negative prompt.
    negative_prompt: String,
    /// Path of a small image that the model drew, below the address of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/assets/styles/watercolour.webp")]
    thumbnail: Option<String>,
}

/// Display names.
#[derive(Debug, Serialize, ToSchema)]
struct Titles {
    #[schema(example = "Watercolour")]
    en: String,
    #[schema(example = "Акварель")]
    ru: String,
}

/// List the styles.
#[utoipa::path(get, path = "/v1/styles", tag = "models", responses(
    (status = 200, description = "All styles", body = StyleList),
    AccessProblems,
))]
pub(crate) async fn list_styles(State(state): State<AppState>) -> Json<StyleList> {
    let data = state.styles.iter().map(|style| StyleAnswer {
        name: style.name.clone(),
        title: Titles { en: style.title_en.clone(), ru: style.title_ru.clone() },
        prompt: style.prompt.clone(),
        negative_prompt: style.negative_prompt.clone(),
        thumbnail: editor::style_thumbnail(&style.name),
    });
    Json(StyleList { data: data.collect() })
}
