//! Addresses of what a job has: absolute, and signed where keys are on, so that pages can load them without one for a while.
//!
//! Invariant: a signature opens one path; what it stands for does not change with the way in which proxies show the server.

use jiff::Timestamp;
use uuid::Uuid;

use crate::http::context::AppState;
use crate::http::extract::request_context::RequestContext;

/// The URL of a path of this server, which a signature may open.
pub(crate) fn signed_url(state: &AppState, context: &RequestContext, path: &str) -> String {
    match &state.auth {
        Some(auth) => context.address.url(&auth.urls.sign(path, Timestamp::now().as_second())),
        None => context.address.url(path),
    }
}

/// The URL of a job's events, for `EventSource`, which sends no keys.
pub(crate) fn events_url(state: &AppState, context: &RequestContext, job: Uuid) -> String {
    signed_url(state, context, &format!("/v1/jobs/{job}/events"))
}
