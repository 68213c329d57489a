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
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::common::CommonBody;
use super::form;
use super::layers::BodyPermit;
use super::problem::Problem;
use crate::domain::Violations;

/// A request's body, and its digest.
pub(super) struct Body<T> {
    pub(super) value: T,
    pub(super) fingerprint: String,
    /// The body's share of the budget of memory: to be kept as long as what was read is.
    pub(super) permit: Option<BodyPermit>,
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
        let mut digest = Sha256::new();
        digest.update(path.as_bytes());
        digest.update(value.to_string().as_bytes());
        let fingerprint = STANDARD.encode(digest.finalize());
        let value = without_nulls(value);
        let value = serde_path_to_error::deserialize(&value).map_err(|error| misshapen(&value, &error))?;
        Ok(Self { value, fingerprint, permit })
    }
}

/// An explicit null says as much as an absent field.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// A body that lacks something, or whose values are of the wrong kind: all of them, each with its place.
fn misshapen(value: &Value, error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let mut violations = Violations::default();
    // The place of a shared field is lost on its way through the mode's own fields, so each is tried alone.
    for (name, value) in value.as_object().into_iter().flatten() {
        let alone = json!({name: value});
        if let Err(error) = serde_path_to_error::deserialize::<_, CommonBody>(&alone) {
            violations.add(pointer(&error.path().to_string()), error.inner().to_string());
        }
    }
    if violations.0.is_empty() {
        let message = error.inner().to_string();
        match message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(name) => violations.add(pointer(&format!("{}.{name}", error.path())), "must be given"),
            None => violations.add(pointer(&error.path().to_string()), message),
        }
    }
    violations.into()
}

/// The JSON pointer of a path such as `prior.steps` or `images[0].image`.
fn pointer(path: &str) -> String {
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty() && *part != "?");
    parts.map(|part| format!("/{part}")).collect::<Vec<_>>().concat()
}

/// A body that was cut off, timed out or was too long.
fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::too_large("the body is too long");
    }
    Problem::malformed(rejection.body_text())
}
