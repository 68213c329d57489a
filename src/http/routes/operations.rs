//! Health, metrics and the contract.

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::http::context::AppState;
use crate::http::error::catalog::RETRY_SOON;
use crate::http::error::kind::ProblemKind;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;
use crate::http::openapi::responses::{ContractProblems, MetricsProblems, PublicProblems, ReadinessProblems};
use crate::http::openapi::served::ServedContract;
use crate::metrics;
use crate::modes::Mode;

/// Liveness: the process responds.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses(
    (status = 200, description = "Alive", body = String),
    PublicProblems,
))]
pub(crate) async fn healthz() -> &'static str {
    "ok"
}

/// Readiness: the model is loaded and can do some mode, and its worker and the storage respond. Modes that are off are named.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()), responses(
    (status = 200, description = "Ready", body = String),
    ReadinessProblems,
))]
pub(crate) async fn readyz(State(state): State<AppState>) -> Result<String, Problem> {
    if state.jobs.is_draining() || state.readiness.is_leaving() {
        return Err(Problem::draining(RETRY_SOON));
    }
    if !state.engine.is_alive() {
        return Err(Problem::unavailable("no worker is running"));
    }
    let off = &state.engine.info().unavailable;
    if off.len() == Mode::ALL.len() {
        let reason = off.first().map_or("", |(_, reason)| reason);
        return Err(Problem::unavailable(format!("no mode works: {reason}")));
    }
    state.readiness.stores(async || state.jobs.ping().await).await?;
    let off: Vec<&str> = off.iter().map(|(mode, _)| mode.name()).collect();
    Ok(if off.is_empty() { "ready".to_owned() } else { format!("ready, without {}", off.join(", ")) })
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "Metrics", body = String, content_type = "text/plain"),
    MetricsProblems,
))]
pub(crate) async fn render_metrics(
    State(state): State<AppState>,
    context: RequestContext,
) -> Result<Response, Problem> {
    context.caller.check_metrics()?;
    state.jobs.measure();
    let text = metrics::render();
    if text.is_empty() {
        return Err(Problem::new(ProblemKind::NotFound, "metrics are disabled"));
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// This OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", security(()), responses(
    (status = 200, description = "OpenAPI 3.1", body = Object),
    ContractProblems,
))]
pub(crate) async fn openapi(Extension(contract): Extension<ServedContract>, context: RequestContext) -> Response {
    contract.response(context.address.prefix())
}
