//! The HTTP front: routes, their contract, and errors as problem documents.
//!
//! Invariant: no answer shows internals, and whatever a client sends gives a 2xx or a 4xx; 5xx are the server's faults.

mod body;
mod image;
mod problem;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tower::ServiceBuilder;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::Limits;
use crate::engine::Engine;

/// What handlers share.
#[derive(Clone)]
pub struct AppState {
    pub engine: Arc<Engine>,
    pub limits: Arc<Limits>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "kandinsky",
        description = "An inference server for Kandinsky 2.1.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(body::GenerationAnswer, problem::Problem))
)]
struct Contract;

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Contract::openapi())
        .routes(routes!(routes::text_to_image::text_to_image))
        .routes(routes!(routes::image_to_image::image_to_image))
        .routes(routes!(routes::image_variations::image_variations))
        .routes(routes!(routes::image_fusion::image_fusion))
        .routes(routes!(routes::text_image_fusion::text_image_fusion))
        .routes(routes!(routes::inpainting::inpainting))
        .routes(routes!(routes::outpainting::outpainting))
        .routes(routes!(routes::operations::healthz))
        .routes(routes!(routes::operations::readyz))
        .routes(routes!(routes::operations::openapi))
}

/// The contract, OpenAPI 3.1.
#[must_use]
pub fn contract() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}

/// The whole service.
pub fn router(state: AppState, max_body_bytes: usize) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(ServiceBuilder::new().layer(TraceLayer::new_for_http()).layer(DefaultBodyLimit::max(max_body_bytes)))
        .with_state(state)
}
