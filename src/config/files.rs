//! The file of styles that the configuration names.

use std::path::Path;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Config, ConfigError, Violation};
use crate::modes::Style;

const BUILT_IN_STYLES: &str = include_str!("../../config/styles.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StyleFile {
    #[serde(default)]
    style: Vec<Style>,
}

pub(super) fn check(config: &Config) -> Vec<Violation> {
    config
        .load_styles()
        .err()
        .into_iter()
        .flat_map(|error| match error {
            ConfigError::Invalid(violations) => violations,
            error @ ConfigError::Unreadable { .. } => {
                vec![Violation { key: "files".to_owned(), message: error.to_string(), source: None }]
            }
        })
        .collect()
}

impl Config {
    /// The styles: those of the file, or the built-in ones.
    pub fn load_styles(&self) -> Result<Vec<Style>, ConfigError> {
        let (key, file) = ("styles.file", self.styles.file.as_deref());
        let styles = match file {
            Some(file) => read::<StyleFile>(key, file)?,
            None => parse::<StyleFile>(BUILT_IN_STYLES).map_err(|message| violation(key, None, &message))?,
        };
        Ok(styles.style)
    }
}

fn read<T: DeserializeOwned>(key: &str, file: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| violation(key, Some(file), &error.to_string()))?;
    parse(&text).map_err(|message| violation(key, Some(file), &message))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    // Nothing in these files is a secret: the parser may quote them.
    Figment::from(Toml::string(text)).extract().map_err(|error| error.to_string())
}

fn violation(key: &str, file: Option<&Path>, message: &str) -> ConfigError {
    let message = file.map_or_else(|| message.to_owned(), |file| format!("{}: {message}", file.display()));
    ConfigError::Invalid(vec![Violation { key: key.to_owned(), message, source: None }])
}
