//! Bodies of generation requests, as JSON or as forms, read into the same value.
//!
//! Invariant: whatever a body says, it says the same in both forms; the digest of what it says tells requests apart.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::form;
use super::layers::BodyPermit;
use super::problem::Problem;

/// A request's body, and its digest.
pub(super) struct Body<T> {
    pub(super) value: T,
    pub(super) fingerprint: String,
}

/// A body that may be a form.
pub(super) trait FormBody: DeserializeOwned {
    /// Bring the parts of a form into the shape of the JSON.
    fn from_form(form: form::Form) -> Result<Value, Problem> {
        form.into_json()
    }
}

impl<S: Send + Sync, T: FormBody> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let path = request.uri().path().to_owned();
        let permit = request.extensions().get::<BodyPermit>().cloned();
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or("application/json").to_ascii_lowercase();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let value = if essence == "application/json" || essence.ends_with("+json") {
            let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
            serde_json::from_slice::<Value>(&bytes).map_err(|error| Problem::malformed(format!("not JSON: {error}")))?
        } else if essence == "multipart/form-data" {
            T::from_form(form::Form::read(request, state).await?)?
        } else {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "the body must be application/json or multipart/form-data",
            ));
        };
        if let Some(permit) = permit {
            permit.release();
        }
        let mut digest = Sha256::new();
        digest.update(path.as_bytes());
        digest.update(value.to_string().as_bytes());
        let fingerprint = STANDARD.encode(digest.finalize());
        let value = T::deserialize(value).map_err(|error| misshapen(&error.to_string()))?;
        Ok(Self { value, fingerprint })
    }
}

/// A body whose values are of the wrong kind.
fn misshapen(message: &str) -> Problem {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match missing {
        Some(name) => Problem::invalid(&format!("/{name}"), "must be given"),
        None => Problem::invalid("", message),
    }
}

/// A body that was cut off, timed out or was too long.
fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::too_large("the body is too long");
    }
    Problem::malformed(rejection.body_text())
}
