//! From checked TOML values to the types of fields.
//!
//! Invariant: a value that the rules let through can be read; an error here is a bug in a rule.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;
use toml::Value;

/// A single value as text, without quotes. Nothing else is a setting.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => String::new(),
    }
}

/// Anything that is parsed from text.
pub(super) fn parsed<T>(value: &Value) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    text(value).parse().map_err(|error: T::Err| error.to_string())
}

/// A secret, which is never printed.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a reader")]
pub(super) fn secret(value: &Value) -> Result<SecretString, String> {
    Ok(text(value).into())
}

/// An address that paths are appended to, so without a slash at its end.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a reader")]
pub(super) fn base_url(value: &Value) -> Result<String, String> {
    Ok(text(value).trim_end_matches('/').to_owned())
}

/// Anything that is parsed from text; `None` if the text is empty.
pub(super) fn optional<T>(value: &Value) -> Result<Option<T>, String>
where
    T: FromStr,
    T::Err: Display,
{
    if text(value).is_empty() { Ok(None) } else { parsed(value).map(Some) }
}

/// A path; `None` if the text is empty.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a reader")]
pub(super) fn optional_path(value: &Value) -> Result<Option<PathBuf>, String> {
    let text = text(value);
    Ok((!text.is_empty()).then(|| text.into()))
}

/// A list, or names separated by commas.
pub(super) fn list<T>(value: &Value) -> Result<Vec<T>, String>
where
    T: FromStr,
    T::Err: Display,
{
    items(value).iter().map(|item| item.parse().map_err(|error: T::Err| error.to_string())).collect()
}

/// The texts of a list, or of names separated by commas.
pub(super) fn items(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        value => text(value).split(',').map(|name| name.trim().to_owned()).collect(),
    }
}
