//! Who calls, and what that lets them do.
//!
//! Invariant: where keys are on, a route answers nobody without one unless it is in [`OPEN`]; whatever a key may not see is
//! not there for it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::AppState;
use super::problem::Problem;
use crate::auth::{Auth, BadAddress, Denied};
use crate::domain::Priority;
use crate::jobs::Allowance;
use crate::modes::Mode;
use crate::records::{ApiKey, Job, Scope};

/// Routes for everybody, to look at. The pages of the documentation are below `/docs`.
const OPEN: [&str; 4] = ["/", "/healthz", "/readyz", "/openapi.json"];
const DOCS: &str = "/docs";
/// What a signed address may open.
const PICTURE: &str = "/v1/jobs/{id}/images/{index}";

/// Who calls.
#[derive(Debug, Clone, Default)]
pub(super) enum Caller {
    /// Keys are off: everybody is one and the same.
    #[default]
    Anyone,
    Key(Arc<ApiKey>),
    /// Somebody with the signed address of the one picture that is asked for.
    Signed,
}

impl Caller {
    /// The owner of what is made; empty for anyone.
    pub(super) fn owner(&self) -> &str {
        match self {
            Self::Key(key) => &key.id,
            Self::Anyone | Self::Signed => "",
        }
    }

    fn key(&self) -> Option<&ApiKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Anyone | Self::Signed => None,
        }
    }

    pub(super) fn is_admin(&self) -> bool {
        self.key().is_some_and(ApiKey::is_admin)
    }

    /// The name of the policy that its prompts and pictures are judged by; None: the usual one.
    pub(super) fn moderation_policy(&self) -> Option<&str> {
        self.key().and_then(|key| key.moderation_policy.as_deref())
    }

    /// Whose jobs are listed and listened to; None: everybody's.
    pub(super) fn listed_owner(&self) -> Option<&str> {
        if self.is_admin() { None } else { Some(self.owner()) }
    }

    pub(super) fn may_see(&self, job: &Job) -> bool {
        match self {
            Self::Anyone => job.owner.is_empty(),
            Self::Key(key) => key.may_see(job),
            Self::Signed => true,
        }
    }

    /// Whether whoever was let in would be let in again.
    pub(super) async fn is_still_good(&self, state: &AppState) -> bool {
        match (self, &state.auth) {
            (Self::Key(key), Some(auth)) => auth.keys.is_still_good(&key.id).await,
            _ => true,
        }
    }

    /// To be asked before work is put into a request; [`Caller::check_mode`] when its mode is known.
    pub(super) fn check_any_mode(&self) -> Result<(), Problem> {
        let allowed = self.key().is_none_or(ApiKey::may_make_any);
        if allowed { Ok(()) } else { Err(missing_scope("makes no pictures", "generate, or a mode's name")) }
    }

    pub(super) fn check_mode(&self, mode: Mode) -> Result<(), Problem> {
        if self.key().is_none_or(|key| key.may_make(mode)) {
            return Ok(());
        }
        Err(missing_scope(&format!("may not do {}", mode.name()), &format!("generate, or {}", mode.name())))
    }

    pub(super) fn check_metrics(&self) -> Result<(), Problem> {
        let allowed = self.key().is_none_or(ApiKey::may_measure);
        if allowed { Ok(()) } else { Err(missing_scope("may not read the metrics", Scope::Metrics.name())) }
    }

    /// The priority of a request that asks for this one, or for none.
    pub(super) fn priority(&self, asked: Option<Priority>) -> Result<Priority, Problem> {
        let most = self.key().map_or(Priority::High, |key| key.limits.max_priority);
        match asked {
            Some(asked) if asked > most => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "priority-not-allowed",
                format!("this key may ask for the priority {} at most, not for {}", most.name(), asked.name()),
            )),
            asked => Ok(asked.unwrap_or(Priority::default().min(most))),
        }
    }

    pub(super) fn allowance(&self) -> Allowance {
        self.key().map_or_else(Allowance::default, |key| Allowance {
            jobs: key.limits.concurrency,
            daily_pictures: key.limits.daily_pictures,
        })
    }
}

fn missing_scope(what: &str, scope: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "missing-scope", format!("this key {what}: it has not the scope {scope}"))
}

/// Let in who has a key, or asks for what is open.
pub(super) async fn require_key(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let Some(auth) = &state.auth else { return next.run(request).await };
    // Where no route is, there is nothing to protect.
    let Some(route) = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned()) else {
        return next.run(request).await;
    };
    if is_open(request.method(), &route) {
        return next.run(request).await;
    }
    let caller = match signed(auth, &request, &route) {
        Some(Ok(())) => Caller::Signed,
        Some(Err(problem)) => return problem.into_response(),
        None => match admit(auth, request.headers()).await {
            Ok(key) => Caller::Key(key),
            Err(response) => return response,
        },
    };
    tracing::Span::current().record("key.id", caller.owner());
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    // Answers are for the one who asked.
    let answers = response.headers_mut();
    if !answers.contains_key(header::CACHE_CONTROL) {
        answers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    response
}

fn is_open(method: &Method, route: &str) -> bool {
    let to_look = *method == Method::GET || *method == Method::HEAD;
    to_look && (OPEN.contains(&route) || route.starts_with(DOCS))
}

/// Whether the address is good. None: it is none that is signed, or a key is shown.
fn signed(auth: &Auth, request: &Request, route: &str) -> Option<Result<(), Problem>> {
    let to_look = *request.method() == Method::GET || *request.method() == Method::HEAD;
    if route != PICTURE || !to_look || request.headers().contains_key(header::AUTHORIZATION) {
        return None;
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let checked = auth.addresses.check(path, query, Timestamp::now().as_second())?;
    Some(checked.map_err(|bad| {
        let detail = match bad {
            BadAddress::Forged => "the signature of this address is not one of this server",
            BadAddress::Expired => "this address has expired; the job's answer has a new one",
        };
        Problem::new(StatusCode::FORBIDDEN, "bad-signature", detail)
    }))
}

/// The key of a request, or how it is turned away.
async fn admit(auth: &Auth, headers: &HeaderMap) -> Result<Arc<ApiKey>, Response> {
    let Some(text) = bearer(headers) else {
        let detail = "this server wants a key, as Authorization: Bearer KEY";
        return Err(unauthorized("key-missing", detail, "Bearer"));
    };
    auth.keys.admit(text).await.map_err(|denied| match denied {
        Denied::Unknown | Denied::Revoked | Denied::Expired => {
            unauthorized("invalid-key", &denied.to_string(), "Bearer error=\"invalid_token\"")
        }
        Denied::TooOften { retry_after, .. } => too_many("rate-limit", denied.to_string(), retry_after).into_response(),
        Denied::Store(error) => Problem::from(error).into_response(),
    })
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn unauthorized(kind: &str, detail: &str, challenge: &'static str) -> Response {
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, kind, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// Come again after this long.
pub(super) fn too_many(kind: &str, detail: String, retry_after: Duration) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, kind, detail).retry_after(retry_after)
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
            assert_eq!(bearer(&headers), want, "{header}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn only_looking_is_open() {
        assert!(is_open(&Method::GET, "/") && is_open(&Method::HEAD, "/healthz"));
        assert!(is_open(&Method::GET, "/docs/{*rest}"));
        assert!(!is_open(&Method::POST, "/"), "a Hugging Face task");
        assert!(!is_open(&Method::GET, "/metrics") && !is_open(&Method::GET, "/v1/jobs"));
    }
}
