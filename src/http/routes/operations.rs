//! Health, metrics, the contract, and pages for people.

use std::sync::LazyLock;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::http::AppState;
use crate::http::client::Client;
use crate::http::contract::KeyProblems;
use crate::http::headers;
use crate::http::problem::Problem;
use crate::telemetry::metrics;

/// The page at `/`.
const PAGE: &str = include_str!("../../../web/index.html");
static PAGE_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| headers::policy_of(PAGE));

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses((status = 200, description = "Alive", body = String)))]
pub(in crate::http) async fn healthz() -> &'static str {
    "ok"
}

/// Models are resident, a worker answers, and the store does.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()), responses(
    (status = 200, description = "Ready", body = String),
    (status = 503, description = "Not ready, or about to stop", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::http) async fn readyz(State(state): State<AppState>) -> Result<&'static str, Problem> {
    let unready = |kind: &str, detail: &str| {
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail).retry_after(Duration::from_secs(5)))
    };
    if state.jobs.is_draining() {
        return unready("draining", "the server is about to stop");
    }
    if !state.engine.is_alive() {
        return unready("unavailable", "no worker answers");
    }
    state.jobs.ping().await?;
    Ok("ready")
}

/// Metrics in Prometheus' text form.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "Metrics", body = String, content_type = "text/plain"),
    (status = 404, description = "They are off", body = Problem, content_type = "application/problem+json"),
    KeyProblems,
))]
pub(in crate::http) async fn render_metrics(
    State(state): State<AppState>,
    client: Client,
) -> Result<Response, Problem> {
    client.caller.check_metrics()?;
    state.jobs.measure();
    let text = metrics::render();
    if text.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", "metrics are off on this server"));
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// This contract.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", security(()), responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(in crate::http) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(crate::http::contract())
}

/// A page to try it on.
pub(in crate::http) async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY.clone())], Html(PAGE))
}
