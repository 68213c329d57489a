//! Hugging Face's tasks.
//!
//! Invariant: `huggingface_hub.InferenceClient(model=URL)` works unmodified.

mod error;
mod request;
mod responses;
mod task;

use axum::http::Method;
use axum::routing::post;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::context::AppState;
use crate::http::error::surface::Surface;

pub(crate) const SURFACE: Surface = Surface { routes: task_routes, owns: owns_path, render: error::render_problem };

#[derive(OpenApi)]
#[openapi(
    components(schemas(error::TaskError)),
    tags((name = "huggingface", description = "For Hugging Face's clients"))
)]
struct Contract;

fn task_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Contract::openapi())
        .routes(routes!(task::task_of_model))
        // Ids of the hub have a slash, which a path parameter of the contract cannot have.
        .route("/models/{owner}/{name}", post(task::task_of_hub_model))
        .routes(routes!(task::task))
        .route("/pipeline/{task}/{*id}", post(task::pipeline))
        .route("/models/{id}/pipeline/{task}", post(task::pipeline_of_model))
        .route("/models/{owner}/{name}/pipeline/{task}", post(task::pipeline_of_hub_model))
}

fn owns_path(method: &Method, path: &str) -> bool {
    path.starts_with("/models/") || path.starts_with("/pipeline/") || (path == "/" && method == Method::POST)
}
