//! From a JSON value to a body, with every violation at its place.

use serde_json::Value;

use super::fields::Fields;
use super::reading::Reading;
use super::{FormBody, Unknown};
use crate::domain::Violations;

/// A body, and what was noticed of it: something stands in for fields that are missing or wrong. Fails if it is no object.
pub fn read_body<T: FormBody>(value: Value) -> Result<(T, Reading), Violations> {
    let mut reading = Reading::default();
    let Value::Object(values) = value else {
        reading.violations.add("", "the body must be an object");
        return Err(reading.violations);
    };
    let mut fields = Fields::new(values, String::new(), &mut reading);
    let body = T::read(&mut fields);
    match T::UNKNOWN {
        Unknown::Refused => fields.refuse_leftover(),
        Unknown::Reported => fields.report_leftover(),
    }
    Ok((body, reading))
}
