//! What programs ask before they draw: models, upscalers, styles, and many kinds of add-ons, of which there are none.
//!
//! Invariant: a list names only what a request may ask for.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::responses::WebuiErrors;
use super::sampler;
use crate::http::context::AppState;

/// The upscalers of `enable_hr`, and what they make of it at the most.
const UPSCALERS: [&str; 2] = ["None", "Lanczos"];

/// An empty object: it is done, or there is none.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmptyObject {}

/// A thing that has a name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamedItem {
    name: String,
}

/// A loaded model.
#[derive(Debug, Serialize, ToSchema)]
struct ModelItem {
    /// The value for `sd_model_checkpoint`.
    #[schema(example = "kandinsky-mini")]
    title: String,
    model_name: String,
    hash: Option<String>,
    sha256: Option<String>,
    filename: String,
    config: Option<String>,
}

/// A way of enlarging images.
#[derive(Debug, Serialize, ToSchema)]
struct UpscalerItem {
    #[schema(example = "Lanczos")]
    name: &'static str,
    model_name: Option<String>,
    model_path: Option<String>,
    model_url: Option<String>,
    scale: Option<f32>,
}

/// A style: words that are added to prompts.
#[derive(Debug, Serialize, ToSchema)]
struct StyleItem {
    name: String,
    prompt: String,
    negative_prompt: String,
}

/// Textual inversions.
#[derive(Debug, Serialize, ToSchema)]
struct Embeddings {
    loaded: EmptyObject,
    skipped: EmptyObject,
}

/// Scripts by the call that takes them.
#[derive(Debug, Serialize, ToSchema)]
struct Scripts {
    txt2img: Vec<String>,
    img2img: Vec<String>,
}

/// Memory in use, which this server tells its operator alone.
#[derive(Debug, Serialize, ToSchema)]
struct Memory {
    ram: EmptyObject,
    cuda: EmptyObject,
}

/// How the program was started.
#[derive(Debug, Serialize, ToSchema)]
struct Flags {
    api: bool,
}

/// Declares handlers that answer with a value that is always the same.
macro_rules! constants {
    ($($name:ident: $method:ident $path:tt $summary:literal -> $type:ty = $value:expr;)*) => {
        $(
            #[doc = $summary]
            #[utoipa::path($method, path = $path, tag = "automatic1111", responses(
                (status = 200, description = $summary, body = $type),
                WebuiErrors,
            ))]
            async fn $name() -> Json<$type> {
                Json($value)
            }
        )*
    };
}

constants! {
    latent_upscale_modes: get "/sdapi/v1/latent-upscale-modes" "Upscalers of latents: none." -> Vec<NamedItem> = Vec::new();
    sd_vae: get "/sdapi/v1/sd-vae" "Autoencoders to choose from: none." -> Vec<NamedItem> = Vec::new();
    sd_modules: get "/sdapi/v1/sd-modules" "Modules to choose from: none." -> Vec<NamedItem> = Vec::new();
    loras: get "/sdapi/v1/loras" "LoRAs: none." -> Vec<NamedItem> = Vec::new();
    hypernetworks: get "/sdapi/v1/hypernetworks" "Hypernetworks: none." -> Vec<NamedItem> = Vec::new();
    face_restorers: get "/sdapi/v1/face-restorers" "Face restorers: none." -> Vec<NamedItem> = Vec::new();
    realesrgan_models: get "/sdapi/v1/realesrgan-models" "Models of Real-ESRGAN: none." -> Vec<NamedItem> = Vec::new();
    script_info: get "/sdapi/v1/script-info" "Arguments of scripts: none." -> Vec<NamedItem> = Vec::new();
    extensions: get "/sdapi/v1/extensions" "Extensions: none." -> Vec<NamedItem> = Vec::new();
    scripts: get "/sdapi/v1/scripts" "Scripts: none." -> Scripts = Scripts { txt2img: Vec::new(), img2img: Vec::new() };
    embeddings: get "/sdapi/v1/embeddings" "Textual inversions: none." -> Embeddings
        = Embeddings { loaded: EmptyObject {}, skipped: EmptyObject {} };
    memory: get "/sdapi/v1/memory" "Memory in use: not told here." -> Memory = Memory { ram: EmptyObject {}, cuda: EmptyObject {} };
    cmd_flags: get "/sdapi/v1/cmd-flags" "How the program was started." -> Flags = Flags { api: true };
    refresh_checkpoints: post "/sdapi/v1/refresh-checkpoints" "Look for models: nothing to do." -> EmptyObject = EmptyObject {};
    refresh_vae: post "/sdapi/v1/refresh-vae" "Look for autoencoders: nothing to do." -> EmptyObject = EmptyObject {};
    refresh_loras: post "/sdapi/v1/refresh-loras" "Look for LoRAs: nothing to do." -> EmptyObject = EmptyObject {};
    ping: get "/internal/ping" "Whether the server answers." -> EmptyObject = EmptyObject {};
}

/// List the loaded model.
#[utoipa::path(get, path = "/sdapi/v1/sd-models", tag = "automatic1111", responses(
    (status = 200, description = "The loaded model", body = Vec<ModelItem>),
    WebuiErrors,
))]
async fn sd_models(State(state): State<AppState>) -> Json<Vec<ModelItem>> {
    let name = &state.engine.info().name;
    Json(vec![ModelItem {
        title: name.clone(),
        model_name: name.clone(),
        hash: None,
        sha256: None,
        filename: name.clone(),
        config: None,
    }])
}

/// List the upscalers of `enable_hr`.
#[utoipa::path(get, path = "/sdapi/v1/upscalers", tag = "automatic1111", responses(
    (status = 200, description = "The names for hr_upscaler", body = Vec<UpscalerItem>),
    WebuiErrors,
))]
async fn upscalers() -> Json<Vec<UpscalerItem>> {
    let item = |name| UpscalerItem { name, model_name: None, model_path: None, model_url: None, scale: None };
    Json(UPSCALERS.map(item).into())
}

/// List the styles.
#[utoipa::path(get, path = "/sdapi/v1/prompt-styles", tag = "automatic1111", responses(
    (status = 200, description = "The names for styles", body = Vec<StyleItem>),
    WebuiErrors,
))]
async fn prompt_styles(State(state): State<AppState>) -> Json<Vec<StyleItem>> {
    let styles = state.styles.iter().map(|style| StyleItem {
        name: style.name.clone(),
        prompt: style.prompt.clone(),
        negative_prompt: style.negative_prompt.clone(),
    });
    Json(styles.collect())
}

/// Add the routes of all lists.
pub(super) fn add_lists(router: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
    router
        .routes(routes!(sampler::list_samplers))
        .routes(routes!(sampler::list_schedulers))
        .routes(routes!(sd_models))
        .routes(routes!(upscalers))
        .routes(routes!(latent_upscale_modes))
        .routes(routes!(sd_vae))
        .routes(routes!(sd_modules))
        .routes(routes!(prompt_styles))
        .routes(routes!(loras))
        .routes(routes!(embeddings))
        .routes(routes!(hypernetworks))
        .routes(routes!(face_restorers))
        .routes(routes!(realesrgan_models))
        .routes(routes!(scripts))
        .routes(routes!(script_info))
        .routes(routes!(extensions))
        .routes(routes!(memory))
        .routes(routes!(cmd_flags))
        .routes(routes!(refresh_checkpoints))
        .routes(routes!(refresh_vae))
        .routes(routes!(refresh_loras))
        .routes(routes!(ping))
}
