//! From checked TOML values to types. What fails here was let through by the checks.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};

use crate::domain::DeviceChoice;

pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: Display,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// An address that paths are put after.
pub(super) fn base_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(String::deserialize(deserializer)?.trim_end_matches('/').to_owned())
}

/// Empty is none.
pub(super) fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

pub(super) fn devices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DeviceChoice>, D::Error> {
    let names = match Names::deserialize(deserializer)? {
        Names::One(name) => device_names(&name),
        Names::Several(names) => names,
    };
    names.iter().map(|name| name.parse().map_err(D::Error::custom)).collect()
}

/// Names of devices as flags and variables give them: separated by commas.
pub(super) fn device_names(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).collect()
}
