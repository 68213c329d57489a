//! From a JSON value to a body, with every violation at its place.

use serde_json::{Value, json};

use super::{CommonBody, FormBody};
use crate::domain::{Violation, Violations};

/// Longest value of a shared field that is checked on its own, bytes.
const MAX_FIELD_BYTES: usize = 1024;

/// A body, with the violations of shared fields that were left out; or all violations, if its own fields are invalid.
pub fn read_body<T: FormBody>(value: Value) -> Result<(T, Violations), Violations> {
    let mut violations = Violations::default();
    let mut value = without_nulls(value);
    let Value::Object(fields) = &mut value else {
        violations.add("", "must be an object");
        return Err(violations);
    };
    // Flattening loses the place of a shared field, so each is tried alone.
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
            Err(violations)
        }
    }
}

/// An explicit null means the same as an absent field.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
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
