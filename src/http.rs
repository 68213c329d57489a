//! The HTTP front: routes, their contract, and errors as problem documents.
//!
//! Invariant: no answer shows internals, and whatever a client sends gives a 2xx or a 4xx; 5xx are the server's faults, or
//! say when to come back. Where keys are on, nobody without one gets past `http/auth.rs`.

mod answer;
mod auth;
mod client;
mod common;
mod contract;
mod form;
#[doc(hidden)]
pub mod fuzzing;
mod generate;
mod headers;
mod image;
mod layers;
mod linger;
mod moderate;
mod names;
mod object;
mod openai;
mod parameters;
mod problem;
mod request;
mod routes;
pub mod serve;
mod sse;
mod strict;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
#[cfg(feature = "swagger-ui")]
use utoipa_swagger_ui::SwaggerUi;

use crate::auth::Auth;
use crate::domain::{Limits, Style};
use crate::engine::Engine;
use crate::fetch::Fetcher;
use crate::imaging::Encoder;
use crate::jobs::JobService;
use crate::moderation::{OutputModeration, PromptModeration};

/// Whether a webhook may be sent to a URL, and why not.
pub type CheckUrl = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// What handlers share.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// What handlers share.
pub struct Shared {
    pub jobs: JobService,
    /// Writes image files as the operator wants them marked.
    pub encoder: Arc<Encoder>,
    /// Moderation of finished images and of those sent to `/v1/moderations`; `None` turns it off.
    pub output_moderation: Option<Arc<OutputModeration>>,
    /// None: keys are off.
    pub auth: Option<Auth>,
    pub engine: Arc<Engine>,
    pub limits: Limits,
    pub styles: Vec<Style>,
    pub moderation: PromptModeration,
    /// Gets pictures from `https://` URLs; None: it is off.
    pub fetcher: Option<Fetcher>,
    /// None: webhooks are off.
    pub check_webhook: Option<Box<CheckUrl>>,
    /// The server's own address as clients know it; empty: what they call it.
    pub public_url: String,
    pub max_body_bytes: usize,
    /// Requests whose pictures are decoded at once: what is decoded and not yet admitted is held by nobody else's bounds.
    pub decoding: Arc<Semaphore>,
    /// Requests whose pictures are judged at once without being drawn from.
    pub judging: Arc<Semaphore>,
    /// ms since 1970.
    pub started: i64,
}

impl From<Shared> for AppState {
    fn from(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Bounds of what comes over the wire.
#[derive(Debug, Clone)]
pub struct Wire {
    /// All request bodies being read together, bytes.
    pub max_body_bytes_in_flight: u64,
    /// Longest pause between two parts of a body.
    pub body_timeout: Duration,
    /// Origins of pages that may call; `*` for all.
    pub cors_origins: Vec<String>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "kandinsky",
        description = "An inference server for Kandinsky 2.1: pictures from text, pictures, and both.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(
        answer::JobAnswer,
        contract::ServerSentEvent,
        problem::Problem,
        openai::answer::ImagesAnswer,
        openai::error::OpenAiError,
        routes::huggingface::TaskError,
        sse::QueuedEvent,
        sse::ProgressEvent,
        sse::PreviewEvent
    )),
    tags(
        (name = "generation", description = "One endpoint per mode"),
        (name = "jobs", description = "What becomes of requests"),
        (name = "models", description = "What there is to choose from"),
        (name = "openai", description = "For OpenAI's SDKs"),
        (name = "huggingface", description = "For Hugging Face's clients"),
        (name = "operations", description = "For those who run it"),
    ),
    // A server without keys asks nobody for one.
    security((), ("bearer" = [])),
    modifiers(&Bearer)
)]
struct Contract;

/// Tells of keys in the contract.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, contract: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A key, where the server wants one: `kandinsky keys create`."))
            .build();
        contract.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Contract::openapi())
        .routes(routes!(routes::text_to_image::text_to_image))
        .routes(routes!(routes::image_to_image::image_to_image))
        .routes(routes!(routes::image_variations::image_variations))
        .routes(routes!(routes::image_fusion::image_fusion))
        .routes(routes!(routes::text_image_fusion::text_image_fusion))
        .routes(routes!(routes::inpainting::inpainting))
        .routes(routes!(routes::outpainting::outpainting))
        .routes(routes!(routes::jobs::list_jobs))
        .routes(routes!(routes::jobs::all_events))
        .routes(routes!(routes::jobs::get_job, routes::jobs::delete_job))
        .routes(routes!(routes::jobs::cancel_job))
        .routes(routes!(routes::jobs::job_events))
        .routes(routes!(routes::jobs::job_image))
        .routes(routes!(routes::models::list_models))
        .routes(routes!(routes::models::get_model))
        .routes(routes!(routes::styles::list_styles))
        .routes(routes!(routes::capabilities::capabilities))
        .routes(routes!(routes::moderations::moderations))
        .routes(routes!(routes::openai::generations))
        .routes(routes!(routes::openai::edits))
        .routes(routes!(routes::openai::variations))
        .routes(routes!(routes::huggingface::task_of_model))
        .routes(routes!(routes::huggingface::task))
        .routes(routes!(routes::operations::healthz))
        .routes(routes!(routes::operations::readyz))
        .routes(routes!(routes::operations::render_metrics))
        .routes(routes!(routes::operations::openapi))
}

/// The contract, OpenAPI 3.1.
#[must_use]
pub fn contract() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}

/// The whole service.
pub fn router(state: AppState, wire: &Wire) -> Router {
    let (router, _) = routes().split_for_parts();
    let budget = layers::BodyBudget::new(wire.max_body_bytes_in_flight, state.max_body_bytes as u64);
    let max_body_bytes = state.max_body_bytes;
    let require_key = middleware::from_fn_with_state(state.clone(), auth::require_key);
    router
        .route("/", get(routes::operations::page))
        // Ids of the hub have a slash, which a path of the contract cannot.
        .route("/models/{owner}/{name}", post(routes::huggingface::task_of_hub_model))
        .route("/v1/models/{owner}/{name}", get(routes::models::get_hub_model))
        .merge(docs())
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(
            ServiceBuilder::new()
                // Whoever prints a request's headers prints no keys.
                .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION]))
                .layer(headers::layer())
                .layer(middleware::from_fn(layers::observe))
                .layer(middleware::from_fn(problem::identify))
                .layer(CatchPanicLayer::custom(layers::panicked))
                .layer(cors(&wire.cors_origins))
                .layer(middleware::from_fn(linger::read_on))
                .layer(require_key)
                .layer(middleware::from_fn_with_state(budget, layers::reserve_body))
                .layer(RequestBodyTimeoutLayer::new(wire.body_timeout))
                .layer(DefaultBodyLimit::max(max_body_bytes)),
        )
        .with_state(state)
}

/// The page that shows the contract. It needs files of its own alone and asks for the contract by its address.
#[cfg(feature = "swagger-ui")]
fn docs() -> Router<AppState> {
    let docs: Router<AppState> =
        SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json").validator_url("none")).into();
    docs.layer(headers::docs())
}

/// This build has no page that shows the contract.
#[cfg(not(feature = "swagger-ui"))]
fn docs() -> Router<AppState> {
    Router::new()
}

fn cors(origins: &[String]) -> CorsLayer {
    // Browsers do not count Authorization among any headers: it must be named.
    let headers = AllowHeaders::mirror_request();
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(headers).expose_headers(Any);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(Any);
    }
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() { CorsLayer::new() } else { layer.allow_origin(origins) }
}
