//! What this build leaves out (Cargo.toml, `[features]`), and the settings that need it.
//!
//! Invariant: a configuration that asks for more than was built is refused before anything is opened, with the setting and
//! the feature.

use secrecy::ExposeSecret as _;

use crate::config::{Config, ConfigError, Violation};

/// Settings that need what was not built.
pub(super) fn missing(config: &Config) -> Vec<Violation> {
    let needed = [
        ("postgres", cfg!(feature = "postgres"), "store.url", !config.store.url.expose_secret().is_empty()),
        ("s3", cfg!(feature = "s3"), "pictures.url", !config.pictures.url.is_empty()),
        ("otlp", cfg!(feature = "otlp"), "traces.otlp_endpoint", !config.traces.otlp_endpoint.is_empty()),
    ];
    needed
        .into_iter()
        .filter(|(_, built, _, asked)| *asked && !built)
        .map(|(feature, _, key, _)| Violation {
            key: key.to_owned(),
            message: format!("this build has no {feature}: build it with --features {feature} (or full)"),
            source: None,
        })
        .collect()
}

/// Fails if the configuration asks for what was not built.
pub fn require(config: &Config) -> Result<(), ConfigError> {
    let missing = missing(config);
    if missing.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(missing)) }
}
