//! The file of styles that the configuration names.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{ConfigError, Violation};
use super::load::Config;
use crate::modes::Style;

const BUILT_IN_STYLES: &str = include_str!("../../config/styles.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StyleFile {
    #[serde(default)]
    style: Vec<Style>,
}

impl Config {
    /// What is wrong with the files that the configuration names, beyond the model.
    #[must_use]
    pub fn check_files(&self) -> Vec<Violation> {
        match self.load_styles() {
            Ok(_) => Vec::new(),
            Err(ConfigError::Invalid(violations)) => violations,
            Err(error @ ConfigError::Unreadable { .. }) => {
                vec![Violation { key: "files".to_owned(), message: error.to_string(), source: None }]
            }
        }
    }

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
    // Nothing in these files is secret: the parser may quote them.
    toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
}

fn violation(key: &str, file: Option<&Path>, message: &str) -> ConfigError {
    let message = file.map_or_else(|| message.to_owned(), |file| format!("{}: {message}", file.display()));
    ConfigError::Invalid(vec![Violation { key: key.to_owned(), message, source: None }])
}
