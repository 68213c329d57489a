//! Request bodies, as JSON or as forms, read into the same value.
//!
//! Invariant: a body means the same in both forms, and so its fingerprint is the same.

use axum::RequestExt as _;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use http_body_util::LengthLimitError;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::form::read_form;
use super::strict_json::{JsonError, read_json};
use crate::http::error::problem::Problem;
use crate::http::middleware::body_permit::BodyPermit;
use crate::modes::request::{FormBody, Reading, read_body};

/// Texts from this size on take long to parse, bytes.
const LARGE_TEXT: usize = 1 << 20;

/// A request's body.
pub(crate) struct Body<T> {
    pub(crate) value: T,
    /// The digest of route and body, if the request has an idempotency key: that is all it is for.
    pub(crate) fingerprint: Option<String>,
    /// The body's share of the budget of memory: to be held as long as what was read is.
    pub(crate) permit: Option<BodyPermit>,
    /// What was noticed of it: something stands in for fields that are missing or of the wrong kind.
    pub(crate) reading: Reading,
}

impl<S: Send + Sync, T: FormBody> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let permit = request.extensions().get::<BodyPermit>().cloned();
        let keyed_path = keyed_path(&request);
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // A body without a type may come from any page in a browser, which sends it without a preflight.
        let media_type = media_type.unwrap_or_default().to_ascii_lowercase();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(Problem::unsupported_media_type("compressed bodies are not supported"));
        }
        let value = if essence == "application/json" || essence.ends_with("+json") {
            parse(collect(request).await?, permit.clone())
                .await?
                .map_err(|error| Problem::malformed(format!("the body is not readable as JSON: {error}")))?
        } else if essence == "multipart/form-data" {
            T::from_form(read_form::<T, S>(request, state).await?).map_err(Problem::from)?
        } else {
            let detail = "the body must be application/json or multipart/form-data, and Content-Type must say which";
            return Err(Problem::unsupported_media_type(detail));
        };
        let fingerprint = keyed_path.map(|path| fingerprint(&path, &value));
        let (value, reading) = read_body(value)?;
        Ok(Self { value, fingerprint, permit, reading })
    }
}

/// Read JSON; a large text off the async threads, where it would keep others waiting. Its memory counts until that has ended.
async fn parse(text: Vec<u8>, permit: Option<BodyPermit>) -> Result<Result<Value, JsonError>, Problem> {
    if text.len() < LARGE_TEXT {
        return Ok(read_json(&text));
    }
    let parsing = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        read_json(&text)
    });
    parsing.await.map_err(|error| {
        tracing::error!(%error, "reading a request's body failed");
        Problem::internal()
    })
}

/// The route of a request that has an idempotency key.
pub(crate) fn keyed_path(request: &Request) -> Option<String> {
    request.headers().contains_key("idempotency-key").then(|| request.uri().path().to_owned())
}

/// The digest of a route and the bytes of its body.
pub(crate) fn fingerprint_of_bytes(path: &str, bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::new().chain_update(path).chain_update(bytes).finalize())
}

/// The digest of a route and what its body says, whatever form the body has.
fn fingerprint(path: &str, value: &Value) -> String {
    let mut digest = Digesting(Sha256::new());
    digest.0.update(path.as_bytes());
    // Without a copy of the text. A digest takes whatever it is given.
    let _ = serde_json::to_writer(&mut digest, value);
    STANDARD.encode(digest.0.finalize())
}

/// A digest that can be written to.
struct Digesting(Sha256);

impl std::io::Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// All bytes of a body, in one piece: each of many tiny parts would keep more alive than it holds.
pub(crate) async fn collect(request: Request) -> Result<Vec<u8>, Problem> {
    let mut parts = request.into_limited_body().into_data_stream();
    let mut bytes = Vec::new();
    while let Some(part) = parts.next().await {
        bytes.extend_from_slice(&part.map_err(|error| unreadable(&error))?);
    }
    Ok(bytes)
}

/// A body that was cut off or was too long.
fn unreadable(error: &axum::Error) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<LengthLimitError>() {
            return Problem::too_large("the body is too large");
        }
        cause = inner.source();
    }
    Problem::malformed("the body ended early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modes::{GenerationMode, TextToImage};

    async fn fingerprint_of(key: Option<&str>, body: &'static str) -> Option<String> {
        let mut request = Request::builder().uri("/v1/text-to-image").header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(axum::body::Body::from(body)).unwrap();
        let body = Body::<<TextToImage as GenerationMode>::Body>::from_request(request, &()).await;
        body.map_err(|problem| problem.message(str::to_owned)).unwrap().fingerprint
    }

    #[tokio::test]
    async fn a_fingerprint_is_computed_for_an_idempotency_key_alone() {
        let body = r#"{"prompt": "a cat", "steps": 3}"#;
        assert_eq!(fingerprint_of(None, body).await, None);
        let known = fingerprint_of(Some("1"), body).await;
        assert!(known.is_some());
        assert_eq!(fingerprint_of(Some("2"), r#"{ "steps": 3, "prompt": "a cat" }"#).await, known, "it says the same");
        assert_ne!(fingerprint_of(Some("1"), r#"{"prompt": "a cat", "steps": 4}"#).await, known);
    }
}
