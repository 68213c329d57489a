//! Which form of errors a client reads: problem documents, or those of a compatible API.
//!
//! Invariant: handlers and middleware fail with a [`Problem`] alone; it gets the request's id and the form of its surface
//! here, once, on its way out.

use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use utoipa_axum::router::OpenApiRouter;

use super::log::log_refusal;
use super::problem::{MEDIA_TYPE, Problem};
use crate::http::context::AppState;
use crate::http::middleware::request_id::RequestId;

/// Another API that this server speaks. What belongs to it is in its own folder of `compat`.
pub(crate) struct Surface {
    /// Its routes, with what they add to the contract.
    pub(crate) routes: fn() -> OpenApiRouter<AppState>,
    /// Whether its clients send requests of this method and path, also those that no route takes.
    pub(crate) owns: fn(&Method, &str) -> bool,
    /// A problem in the form that its clients read.
    pub(crate) render: fn(&Problem) -> Response,
}

/// Give problems the request's id, and the form of their surface.
pub(crate) async fn render_problems(
    State(surfaces): State<&'static [Surface]>,
    request: Request,
    next: Next,
) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let surface = surfaces.iter().find(|surface| (surface.owns)(request.method(), request.uri().path()));
    let response = next.run(request).await;
    let Some(problem) = find_problem(&response) else { return response };
    log_refusal(&problem);
    let mut rendered = match surface {
        Some(surface) => (surface.render)(&problem),
        None => problem.with_request_id(&id).into_response(),
    };
    for (name, value) in response.headers() {
        if ![header::CONTENT_LENGTH, header::CONTENT_TYPE].contains(name) {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    rendered
}

/// The problem that a response is, if it is one.
fn find_problem(response: &Response) -> Option<Problem> {
    let has_type = |media_type: &str| {
        let own = response.headers().get(header::CONTENT_TYPE).and_then(|own| own.to_str().ok());
        own.is_some_and(|own| own.starts_with(media_type))
    };
    match response.extensions().get::<Problem>() {
        Some(problem) if has_type(MEDIA_TYPE) => Some(problem.clone()),
        // The framework's own errors, such as a path that is not UTF-8.
        None if response.status().is_client_error() && has_type("text/plain") => {
            Some(Problem::unreadable(response.status()))
        }
        _ => None,
    }
}
