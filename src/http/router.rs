//! The whole service: every route, the contract they make up, and the middleware around them.

use std::sync::Arc;

#[cfg(feature = "swagger-ui")]
use axum::http::{HeaderValue, header};
use axum::http::{Method, Uri};
#[cfg(feature = "swagger-ui")]
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use tower::ServiceBuilder;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
#[cfg(feature = "swagger-ui")]
use utoipa_swagger_ui::SwaggerUi;

use super::compat::SURFACES;
use super::context::AppState;
use super::error::problem::Problem;
use super::forgiving;
use super::limits::HttpLimits;
use super::middleware;
use super::openapi::served::ServedContract;
use super::{openapi, routes};

/// The routes of this server's own API.
fn native() -> OpenApiRouter<AppState> {
    routes::modes::add_modes(OpenApiRouter::with_openapi(openapi::native()))
        .routes(routes!(routes::jobs::list_jobs))
        .routes(routes!(routes::jobs::get_job, routes::jobs::delete_job))
        .routes(routes!(routes::jobs::cancel_job))
        .routes(routes!(routes::job_events::all_events))
        .routes(routes!(routes::job_events::job_events))
        .routes(routes!(routes::job_image::job_image))
        .routes(routes!(routes::styles::list_styles))
        .routes(routes!(routes::capabilities::capabilities))
}

/// The routes for those who operate the server.
fn operations() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::operations())
        .routes(routes!(routes::operations::healthz))
        .routes(routes!(routes::operations::readyz))
        .routes(routes!(routes::operations::render_metrics))
        .routes(routes!(routes::operations::openapi))
}

/// Health and metrics alone: for a process that accepts no requests.
pub fn operations_router(state: AppState, limits: &HttpLimits) -> Router {
    let router = Router::new()
        .route("/healthz", get(routes::operations::healthz))
        .route("/readyz", get(routes::operations::readyz))
        .route("/metrics", get(routes::operations::render_metrics))
        .fallback(|method: Method, uri: Uri| std::future::ready(not_found(&method, uri.path(), &[])))
        .method_not_allowed_fallback(method_not_allowed);
    middleware::apply(router, &state, limits, SURFACES).with_state(state)
}

fn all_routes() -> OpenApiRouter<AppState> {
    let compatible = SURFACES.iter().fold(native(), |router, surface| router.merge((surface.routes)()));
    compatible.merge(operations())
}

/// The contract, OpenAPI 3.1.
#[must_use]
pub fn contract() -> utoipa::openapi::OpenApi {
    all_routes().split_for_parts().1
}

/// The whole service.
pub fn router(state: AppState, limits: &HttpLimits) -> Router {
    let (router, contract) = all_routes().split_for_parts();
    let known: Arc<[String]> = contract.paths.paths.keys().cloned().collect();
    let router = router
        .route("/", get(routes::editor::page))
        .route("/assets/{*name}", get(routes::editor::asset))
        .layer(Extension(ServedContract::new(contract, &state.public_url)))
        .merge(docs())
        .fallback(move |method: Method, uri: Uri| std::future::ready(not_found(&method, uri.path(), &known)))
        .method_not_allowed_fallback(method_not_allowed);
    let router = middleware::apply(router, &state, limits, SURFACES).with_state(state);
    // A path is rewritten before the router sees it, which layers within the router could not do.
    Router::new().fallback_service(ServiceBuilder::new().map_request(forgiving::rewrite_path).service(router))
}

/// The page of the documentation. It loads nothing from elsewhere and reads the contract by its URL. Addresses are relative, so
/// that they hold below any prefix that a proxy takes away.
#[cfg(feature = "swagger-ui")]
fn docs() -> Router<AppState> {
    let docs: Router<AppState> =
        SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("../openapi.json").validator_url("none")).into();
    docs.layer(axum::middleware::map_response(redirect_within)).layer(middleware::security_headers::for_docs())
}

/// Make a redirect to `/docs/` relative.
#[cfg(feature = "swagger-ui")]
async fn redirect_within(mut response: Response) -> Response {
    if response.status().is_redirection() {
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("docs/"));
    }
    response
}

/// A build without the feature `swagger-ui` has no page of the documentation.
#[cfg(not(feature = "swagger-ui"))]
fn docs() -> Router<AppState> {
    Router::new()
}

fn not_found(method: &Method, path: &str, known: &[String]) -> Problem {
    Problem::no_route(method.as_str(), path, forgiving::nearest_route(path, known)).for_sdks()
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed().for_sdks()
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;
    use crate::http::error::kind::ProblemKind;

    /// The answer to a method that a route does not have, and so of no route.
    const OF_NO_ROUTE: [ProblemKind; 1] = [ProblemKind::MethodNotAllowed];

    #[test]
    fn every_kind_of_problem_is_declared_for_some_route() {
        let contract = serde_json::to_string(&contract()).unwrap();
        for kind in ProblemKind::iter().filter(|kind| !OF_NO_ROUTE.contains(kind)) {
            let names = [kind.name().to_owned(), kind.name().replace('-', "_")];
            let is_declared = names.iter().any(|name| contract.contains(&format!("(`{name}`)")));
            assert!(is_declared, "{kind:?}");
        }
    }
}
