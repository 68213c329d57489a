//! What this build leaves out (Cargo.toml, `[features]`), and the settings that need it.
//!
//! Invariant: a configuration that asks for more than was built is refused before anything is opened, with the setting and
//! the feature.

use crate::config::{Config, ConfigError, ImagesLocation, StoreLocation, Violation};

/// Settings that need what was not built.
pub(super) fn missing(config: &Config) -> Vec<Violation> {
    let postgres = matches!(config.store_location(), StoreLocation::Postgres(_));
    let s3 = matches!(config.images_location(), ImagesLocation::S3 { .. });
    let needed = [
        ("postgres", cfg!(feature = "postgres"), "store.url", postgres),
        ("s3", cfg!(feature = "s3"), "pictures.url", s3),
        ("fleet", cfg!(feature = "fleet"), "broker.url", config.is_fleet()),
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
