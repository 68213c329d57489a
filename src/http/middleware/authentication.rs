//! Authentication: API keys, and signed URLs of images and of events.
//!
//! Invariant: where keys are on, a route answers only callers with a valid one unless it is in [`PUBLIC`].

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use crate::auth::{Auth, Keyring};
use crate::http::context::AppState;
use crate::http::error::kind::ProblemKind;
use crate::http::error::problem::Problem;
use crate::http::extract::caller::Caller;
use crate::http::extract::credentials::{self, Credentials};
use crate::http::extract::image_name::without_extension;
use crate::http::log_rate::LogRate;
use crate::records::ApiKey;

/// Routes that are public, beside the documentation's pages below `/docs`.
const PUBLIC: [&str; 5] = ["/", "/assets/{*name}", "/healthz", "/readyz", "/openapi.json"];
const DOCS: &str = "/docs";
/// The routes that a signed URL opens.
pub(super) const IMAGE: &str = "/v1/jobs/{id}/images/{index}";
const EVENTS: &str = "/v1/jobs/{id}/events";

/// Marks a request whose key a browser may have added by itself, whatever page asked for it.
#[derive(Clone)]
pub(super) struct SentByBrowser;

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
        None => match check_key(auth, &mut request).await {
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

/// Whether a request is for what is public.
pub(super) fn is_open(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>();
    route.is_some_and(|route| is_public(request.method(), route.as_str()))
}

fn is_public(method: &Method, route: &str) -> bool {
    is_read(method) && (PUBLIC.contains(&route) || route.starts_with(DOCS))
}

pub(super) fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether the URL's signature is valid. None: the URL is not a signed one, or the request has a key.
fn check_signed_url(auth: &Auth, request: &Request, route: &str) -> Option<Result<(), Problem>> {
    if ![IMAGE, EVENTS].contains(&route) || !is_read(request.method()) || credentials::are_sent(request.headers()) {
        return None;
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let checked = auth.urls.check(without_extension(path), query, Timestamp::now().as_second())?;
    Some(checked.map_err(Problem::from))
}

/// The key of a request, or the response that refuses it.
async fn check_key(auth: &Auth, request: &mut Request) -> Result<Arc<ApiKey>, Response> {
    let found = credentials::read_credentials(request.headers())
        .map_err(|message| Problem::malformed(message).into_response())?;
    let Some(Credentials { key, is_basic }) = found else {
        return Err(challenge(Problem::key_missing(), "Bearer"));
    };
    if is_basic {
        request.extensions_mut().insert(SentByBrowser);
    }
    auth.keys.authenticate(&key).await.map_err(|error| {
        let reason = error.to_string();
        match Problem::from(error) {
            invalid if invalid.kind() == ProblemKind::InvalidKey => {
                log_refused_key(&key, &reason, request);
                challenge(invalid, "Bearer error=\"invalid_token\"")
            }
            other => other.into_response(),
        }
    })
}

/// Say in the log that a key was refused: its id, which is no secret, and who sent it.
fn log_refused_key(key: &str, reason: &str, request: &Request) {
    static LOG: LogRate = LogRate::per_second(5);
    let Some(suppressed) = LOG.allow() else { return };
    let id = Keyring::id_of(key).unwrap_or_else(|| "none".to_owned());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.to_string());
    let peer = peer.unwrap_or_else(|| "unknown".to_owned());
    tracing::info!(key.id = id, peer, reason, log.suppressed = suppressed, "an API key was refused");
}

/// A 401, which has to say how to authenticate. It names no Basic, which browsers would ask people for and then remember.
fn challenge(problem: Problem, challenge: &'static str) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reads_are_public() {
        assert!(is_public(&Method::GET, "/") && is_public(&Method::HEAD, "/healthz"));
        assert!(is_public(&Method::GET, "/docs/{*rest}"));
        assert!(!is_public(&Method::POST, "/"), "a Hugging Face task");
        assert!(!is_public(&Method::GET, "/metrics") && !is_public(&Method::GET, "/v1/jobs"));
    }
}
