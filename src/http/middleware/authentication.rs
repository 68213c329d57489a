//! Authentication: API keys, and signed URLs of images.
//!
//! Invariant: where keys are on, a route answers only callers with a valid one unless it is in [`PUBLIC`].

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use crate::auth::Auth;
use crate::http::context::AppState;
use crate::http::error::kind::ProblemKind;
use crate::http::error::problem::Problem;
use crate::http::extract::caller::Caller;
use crate::records::ApiKey;

/// Routes that everybody may read, beside the documentation's pages below `/docs`.
const PUBLIC: [&str; 4] = ["/", "/healthz", "/readyz", "/openapi.json"];
const DOCS: &str = "/docs";
/// The route that a signed URL opens.
const IMAGE: &str = "/v1/jobs/{id}/images/{index}";

/// Let a request pass if its caller is authenticated or its route is public.
pub(crate) async fn require_key(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let Some(auth) = &state.auth else { return next.run(request).await };
    // Where there is no route, there is nothing to protect.
    let Some(route) = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned()) else {
        return next.run(request).await;
    };
    if is_public(request.method(), &route) {
        return next.run(request).await;
    }
    let caller = match check_signed_url(auth, &request, &route) {
        Some(Ok(())) => Caller::SignedUrl,
        Some(Err(problem)) => return problem.into_response(),
        None => match check_key(auth, request.headers()).await {
            Ok(key) => Caller::Key(key),
            Err(response) => return response,
        },
    };
    tracing::Span::current().record("key.id", caller.owner());
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    // Responses are for their caller alone.
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    response
}

fn is_public(method: &Method, route: &str) -> bool {
    is_read(method) && (PUBLIC.contains(&route) || route.starts_with(DOCS))
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether the URL's signature is valid. None: the URL is not a signed one, or the request has a key.
fn check_signed_url(auth: &Auth, request: &Request, route: &str) -> Option<Result<(), Problem>> {
    if route != IMAGE || !is_read(request.method()) || request.headers().contains_key(header::AUTHORIZATION) {
        return None;
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let checked = auth.urls.check(path, query, Timestamp::now().as_second())?;
    Some(checked.map_err(Problem::from))
}

/// The key of a request, or the response that refuses it.
async fn check_key(auth: &Auth, headers: &HeaderMap) -> Result<Arc<ApiKey>, Response> {
    let Some(text) = bearer_token(headers) else {
        return Err(challenge(Problem::key_missing(), "Bearer"));
    };
    auth.keys.authenticate(text).await.map_err(|error| match Problem::from(error) {
        invalid if invalid.kind() == ProblemKind::InvalidKey => challenge(invalid, "Bearer error=\"invalid_token\""),
        other => other.into_response(),
    })
}

/// A 401, which has to say how to authenticate.
fn challenge(problem: Problem, challenge: &'static str) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read_as_clients_write_it() {
        for (header, want) in [
            ("Bearer kd_1_2", Some("kd_1_2")),
            ("bearer  kd_1_2 ", Some("kd_1_2")),
            ("Basic kd_1_2", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("kd_1_2", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, header.parse().unwrap());
            assert_eq!(bearer_token(&headers), want, "{header}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }

    #[test]
    fn only_reads_are_public() {
        assert!(is_public(&Method::GET, "/") && is_public(&Method::HEAD, "/healthz"));
        assert!(is_public(&Method::GET, "/docs/{*rest}"));
        assert!(!is_public(&Method::POST, "/"), "a Hugging Face task");
        assert!(!is_public(&Method::GET, "/metrics") && !is_public(&Method::GET, "/v1/jobs"));
    }
}
