//! The API of AUTOMATIC1111's Stable Diffusion web UI, which many programs speak and some speak alone.
//!
//! Invariant: what a request asks for is drawn, or refused by its own name; what was taken without an effect is said in the
//! answer (`info.warnings`).
//!
//! | file | holds |
//! |---|---|
//! | `shared_fields`, `image_request` | requests, translated to modes |
//! | `hires` | enlarging |
//! | `sampler` | names of samplers and of their noise schedules |
//! | `scripts`, `unread` | what cannot be done, and what has no effect |
//! | `images`, `image_answer` | the two calls that make images, and their answer |
//! | `running`, `progress` | jobs that are under way: how far they are, and stopping them |
//! | `options`, `lists` | what programs ask before they draw |

mod error;
mod hires;
mod image_answer;
mod image_request;
mod images;
mod lists;
mod options;
mod progress;
mod responses;
mod running;
mod sampler;
mod scripts;
mod shared_fields;
mod unread;

use std::sync::Arc;

use axum::Extension;
use axum::http::Method;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::context::AppState;
use crate::http::error::surface::Surface;

pub(crate) const SURFACE: Surface = Surface { routes: webui_routes, owns: owns_path, render: error::render_problem };

#[derive(OpenApi)]
#[openapi(
    components(schemas(error::WebuiError, image_answer::ImagesInfo)),
    tags((name = "automatic1111", description = "For programs that speak AUTOMATIC1111's API"))
)]
struct Contract;

fn webui_routes() -> OpenApiRouter<AppState> {
    let router = OpenApiRouter::with_openapi(Contract::openapi())
        .routes(routes!(images::txt2img))
        .routes(routes!(images::img2img))
        .routes(routes!(progress::read_progress))
        .routes(routes!(progress::interrupt))
        .routes(routes!(options::read_options, options::set_options));
    lists::add_lists(router).layer(Extension(Arc::<running::RunningJobs>::default()))
}

fn owns_path(_: &Method, path: &str) -> bool {
    path.starts_with("/sdapi/") || path.starts_with("/internal/")
}
