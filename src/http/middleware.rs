//! What surrounds every route: one list, outermost first.
//!
//! Invariant: a layer sees only what the layers outside of it let through; so ids and metrics come before all that can
//! refuse a request, and callers are authenticated before anything of a body is read.

mod addressing;
mod answer_body;
mod answer_budget;
pub(crate) mod answer_permit;
pub(crate) mod authentication;
mod body_budget;
mod body_drain;
mod body_pace;
pub(crate) mod body_permit;
mod browsers;
mod budgeted_body;
mod cors;
mod panics;
pub(crate) mod request_id;
mod request_metrics;
pub(crate) mod security_headers;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use crate::http::context::AppState;
use crate::http::error::surface::{self, Surface};
use crate::http::extract::credentials::KEY_HEADERS;
use crate::http::limits::HttpLimits;
use addressing::Addressing;
use browsers::BrowserRules;

/// Surround the routes.
pub(crate) fn apply(
    router: Router<AppState>,
    state: &AppState,
    limits: &HttpLimits,
    surfaces: &'static [Surface],
) -> Router<AppState> {
    let budget = body_budget::BodyBudget::new(limits, state.max_body_bytes as u64);
    let answers = answer_budget::AnswerBudget::new(limits);
    let addressing = Addressing::new(&state.public_url, &limits.trusted_proxies);
    let browsers =
        BrowserRules::new(state.auth.is_none(), &state.public_url, &limits.allowed_hosts, &limits.cors_origins);
    router.layer(
        ServiceBuilder::new()
            // A request that is printed shows no keys.
            .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION].into_iter().chain(KEY_HEADERS)))
            .layer(security_headers::for_data())
            .layer(from_fn(request_id::assign_request_id))
            .layer(from_fn(request_metrics::record_request))
            .layer(from_fn_with_state(surfaces, surface::render_problems))
            .layer(CatchPanicLayer::custom(panics::answer_panic))
            .layer(from_fn_with_state(addressing, addressing::resolve_address))
            .layer(cors::for_origins(&limits.cors_origins))
            .layer(from_fn(body_drain::drain_body))
            .layer(from_fn_with_state(state.clone(), authentication::require_key))
            .layer(from_fn_with_state(browsers, browsers::refuse_foreign_pages))
            .layer(from_fn_with_state(answers, answer_budget::budget_answer))
            .layer(from_fn_with_state(budget, body_budget::budget_body))
            .layer(DefaultBodyLimit::max(state.max_body_bytes)),
    )
}
