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
use super::strict::Strict;
use crate::domain::{Violation, Violations};

/// Longest value of a shared field that is worth a look on its own, bytes.
const LONGEST_NAME: usize = 1024;

/// A request's body, and its digest.
pub(super) struct Body<T> {
    pub(super) value: T,
    pub(super) fingerprint: String,
    /// The body's share of the budget of memory: to be kept as long as what was read is.
    pub(super) permit: Option<BodyPermit>,
    /// Shared fields of the wrong kind, which were left out.
    pub(super) violations: Violations,
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
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "the body must not be compressed",
            ));
        }
        let value = if essence == "application/json" || essence.ends_with("+json") {
            let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
            serde_json::from_slice::<Strict>(&bytes)
                .map_err(|error| Problem::malformed(format!("not readable JSON: {error}")))?
                .0
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
        let (value, violations) = read(value)?;
        Ok(Self { value, fingerprint, permit, violations })
    }
}

/// An explicit null says as much as an absent field.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// A body, and what is wrong with the shared fields that had to be left out; or all that is wrong, where its own fields are.
fn read<T: DeserializeOwned>(mut value: Value) -> Result<(T, Violations), Problem> {
    let mut violations = Violations::default();
    let Value::Object(fields) = &mut value else {
        return Err(Problem::invalid("", "must be an object"));
    };
    // The place of a shared field is lost on its way through the mode's own fields, so each is tried alone.
    fields.retain(|name, value| {
        // Pictures and lists of them are no shared fields, and large.
        let structured = value.is_object() || value.is_array();
        let long = value.as_str().is_some_and(|text| text.len() > LONGEST_NAME);
        if long || (structured && !["prior", "webhook"].contains(&name.as_str())) {
            return true;
        }
        let tried = serde_path_to_error::deserialize::<_, CommonBody>(&json!({name: value}));
        tried.map_err(|error| violations.0.push(violation(&error))).is_ok()
    });
    match serde_path_to_error::deserialize(&value) {
        Ok(body) => Ok((body, violations)),
        Err(error) => {
            violations.0.push(violation(&error));
            Err(violations.into())
        }
    }
}

fn violation(error: &serde_path_to_error::Error<serde_json::Error>) -> Violation {
    let (path, message) = (error.path().to_string(), error.inner().to_string());
    match message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        Some(name) => Violation { pointer: pointer(&format!("{path}.{name}")), message: "must be given".to_owned() },
        None => Violation { pointer: pointer(&path), message },
    }
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
