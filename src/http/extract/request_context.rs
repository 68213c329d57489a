//! The context of a request: who sends it, and how it is to be answered.
//!
//! Invariant: taking it never fails; what is wrong with a header is reported by the handlers to which it matters.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::accept::ResponseKind;
use super::address::ServerAddress;
use super::caller::{Caller, client_of};
use crate::http::client::ClientId;
use crate::http::error::problem::Problem;
use crate::http::middleware::answer_permit::{AnswerPermit, CountedGuard};
use crate::http::middleware::request_id::RequestId;

/// Longest idempotency key, bytes.
const MAX_KEY_BYTES: usize = 255;

/// The context of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) caller: Caller,
    /// Who it counts against.
    pub(crate) client: ClientId,
    pub(crate) request_id: String,
    pub(crate) response_kind: ResponseKind,
    /// Whether to answer before the work is done.
    pub(crate) respond_async: bool,
    pub(crate) idempotency_key: Option<Result<String, &'static str>>,
    /// The server as the client knows it, for addresses in responses.
    pub(crate) address: ServerAddress,
    pub(crate) last_event_id: Option<u64>,
    answer_permit: Option<AnswerPermit>,
}

impl RequestContext {
    /// Take room for a response of about `bytes` before it is made.
    pub(crate) async fn reserve_answer(&self, bytes: u64) -> Result<(), Problem> {
        match &self.answer_permit {
            Some(permit) => permit.reserve(bytes).await,
            None => Ok(()),
        }
    }

    /// Count `bytes` that a response is made of bit by bit in place of what was reserved for it, until it is sent.
    pub(crate) fn settle_answer(&self, bytes: u64) {
        if let Some(permit) = &self.answer_permit {
            permit.settle(bytes);
        }
    }

    /// Count `bytes` more that a response is made of, until the guard is dropped.
    pub(crate) fn count_answer(&self, bytes: u64) -> Option<CountedGuard> {
        self.answer_permit.as_ref().map(|permit| permit.count(bytes))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let headers = &parts.headers;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let prefers = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        Ok(Self {
            caller: parts.extensions.get::<Caller>().cloned().unwrap_or_default(),
            client: client_of(&parts.extensions),
            request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            response_kind: ResponseKind::preferred(headers),
            respond_async: prefers
                .flat_map(|value| value.split(','))
                .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async")),
            idempotency_key: headers.get("idempotency-key").map(|key| match key.to_str() {
                Ok(key) if (1..=MAX_KEY_BYTES).contains(&key.len()) => Ok(key.to_owned()),
                _ => Err("must be 1 to 255 visible ASCII characters"),
            }),
            address: parts.extensions.get::<ServerAddress>().cloned().unwrap_or_default(),
            last_event_id: text("last-event-id").and_then(|id| id.trim().parse().ok()),
            answer_permit: parts.extensions.get::<AnswerPermit>().cloned(),
        })
    }
}
