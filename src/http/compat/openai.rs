//! The OpenAI API: images, models and moderations.
//!
//! Invariant: the official SDKs work unmodified; fields that have no meaning here are reported, and this server's own fields may
//! be sent along (`extra_body`).

mod error;
mod image_answer;
mod image_request;
mod image_stream;
mod images;
mod model_name;
mod models;
mod moderation_request;
mod moderations;
mod responses;
mod shared_fields;

use axum::http::Method;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::context::AppState;
use crate::http::error::surface::Surface;

pub(crate) const SURFACE: Surface = Surface { routes: openai_routes, owns: owns_path, render: error::render_problem };

#[derive(OpenApi)]
#[openapi(
    components(schemas(image_answer::ImagesAnswer, error::OpenAiError)),
    tags((name = "openai", description = "For OpenAI's SDKs"))
)]
struct Contract;

fn openai_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Contract::openapi())
        .routes(routes!(images::generations))
        .routes(routes!(images::edits))
        .routes(routes!(images::variations))
        .routes(routes!(models::list_models))
        .routes(routes!(models::get_model))
        // Ids of the hub have a slash, which a path parameter of the contract cannot have.
        .route("/v1/models/{owner}/{name}", get(models::get_hub_model))
        .routes(routes!(moderations::moderations))
}

fn owns_path(_: &Method, path: &str) -> bool {
    let is_model = path.strip_prefix("/v1/models").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    path.starts_with("/v1/images/") || path.starts_with("/images/") || path == "/v1/moderations" || is_model
}
