//! Request bodies, as JSON or as forms, read into the same value.
//!
//! Invariant: a body means the same in both forms, and so its fingerprint is the same.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::strict_json::StrictJson;
use crate::domain::{Violation, Violations};
use crate::http::common::CommonBody;
use crate::http::error::problem::Problem;
use crate::http::form::Form;
use crate::http::middleware::body_budget::BodyPermit;

/// Longest value of a shared field that is checked on its own, bytes.
const MAX_FIELD_BYTES: usize = 1024;

/// A request's body.
pub(crate) struct Body<T> {
    pub(crate) value: T,
    /// The digest of route and body, if the request has an idempotency key: that is all it is for.
    pub(crate) fingerprint: Option<String>,
    /// The body's share of the budget of memory: to be held as long as what was read is.
    pub(crate) permit: Option<BodyPermit>,
    /// Shared fields of the wrong type, which were left out.
    pub(crate) violations: Violations,
}

/// A body that may be a form.
pub(crate) trait FormBody: DeserializeOwned {
    /// Bring the parts of a form into the shape of the JSON.
    fn from_form(form: Form) -> Result<Value, Problem> {
        form.into_json()
    }
}

impl<S: Send + Sync, T: FormBody> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let permit = request.extensions().get::<BodyPermit>().cloned();
        let keyed_path = request.headers().contains_key("idempotency-key").then(|| request.uri().path().to_owned());
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or("application/json").to_ascii_lowercase();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(Problem::unsupported_media_type("compressed bodies are not supported"));
        }
        let value = if essence == "application/json" || essence.ends_with("+json") {
            let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
            serde_json::from_slice::<StrictJson>(&bytes)
                .map_err(|error| Problem::malformed(format!("invalid JSON: {error}")))?
                .0
        } else if essence == "multipart/form-data" {
            T::from_form(Form::read(request, state).await?)?
        } else {
            return Err(Problem::unsupported_media_type("the body must be application/json or multipart/form-data"));
        };
        let fingerprint = keyed_path.map(|path| fingerprint(&path, &value));
        let (value, violations) = read_fields(without_nulls(value))?;
        Ok(Self { value, fingerprint, permit, violations })
    }
}

/// The digest of a route and what its body says, whatever form the body has.
fn fingerprint(path: &str, value: &Value) -> String {
    let mut digest = Sha256::new();
    digest.update(path.as_bytes());
    digest.update(value.to_string().as_bytes());
    STANDARD.encode(digest.finalize())
}

/// An explicit null means the same as an absent field.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// A body, with the violations of shared fields that were left out; or all violations, if its own fields are invalid.
fn read_fields<T: DeserializeOwned>(mut value: Value) -> Result<(T, Violations), Problem> {
    let mut violations = Violations::default();
    let Value::Object(fields) = &mut value else {
        return Err(Problem::invalid("", "must be an object"));
    };
    // Flattening loses the path of a shared field, so each is tried on its own.
    fields.retain(|name, value| {
        // Images and lists of them are not shared fields, and large.
        let structured = value.is_object() || value.is_array();
        let long = value.as_str().is_some_and(|text| text.len() > MAX_FIELD_BYTES);
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
        return Problem::too_large("the body is too large");
    }
    Problem::malformed(rejection.body_text())
}
