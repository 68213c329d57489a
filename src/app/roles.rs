//! What a process of a fleet needs, by its role.
//!
//! Invariant: what is missing is said before anything is opened, with the setting's key.

use crate::config::{Config, ConfigError, ImagesLocation, ModerationLink, StoreLocation, Violation};
use crate::jobs::Role;

/// Settings that a process of this role lacks, or cannot have.
pub(super) fn missing(config: &Config, role: Role) -> Vec<Violation> {
    let mut missing = Vec::new();
    let mut add = |key: &str, message: &str| {
        missing.push(Violation { key: key.to_owned(), message: message.to_owned(), source: None });
    };
    if role != Role::Server && !config.is_fleet() {
        add("broker.url", "must be the address of a NATS server, such as nats://host:4222: it brings jobs to workers");
        // With it, the configuration itself says the same of the other two.
        if matches!(config.store_location(), StoreLocation::Sqlite(_)) {
            add("store.url", "must be the address of a PostgreSQL database: all processes share the jobs");
        }
        if matches!(config.images_location(), ImagesLocation::Folder(_)) {
            add("pictures.url", "must be the address of an S3 bucket: all processes share the images");
        }
    }
    if role == Role::Api && config.moderation.chain.contains(&ModerationLink::Classifier) {
        add(
            "moderation.chain",
            "cannot have \"classifier\" in `kandinsky api`: it needs a model, so take `kandinsky serve`",
        );
    }
    missing
}

/// Fails if something is missing.
pub(super) fn require(config: &Config, role: Role) -> Result<(), ConfigError> {
    let missing = missing(config, role);
    if missing.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(missing)) }
}
