//! Health and contract.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::http::AppState;
use crate::http::problem::Problem;

/// The process lives.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "Alive", body = String)))]
pub(in crate::http) async fn healthz() -> &'static str {
    "ok"
}

/// The model is resident and the worker answers.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, description = "Ready", body = String),
    (status = 503, description = "Not ready", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::http) async fn readyz(State(state): State<AppState>) -> Result<&'static str, Problem> {
    if state.engine.is_alive() {
        return Ok("ready");
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the worker has stopped"))
}

/// This contract.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(in crate::http) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(crate::http::contract())
}
