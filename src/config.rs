//! The configuration: defaults below a file below the environment below flags.
//!
//! Invariant: `config/default.toml` is the one place that holds defaults, and a [`Config`] has been checked.

use std::net::SocketAddr;
use std::path::Path;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::Deserialize;

use crate::domain::Limits;
use crate::engine::{DeviceChoice, Dtype};

const DEFAULTS: &str = include_str!("../config/default.toml");
const ENVIRONMENT: &str = "KANDINSKY__";

/// Everything, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub max_body_bytes: usize,
    /// Empty: the embedded model.
    pub model_path: String,
    pub device: DeviceChoice,
    pub dtype: Dtype,
    pub inpainting: bool,
    pub limits: Limits,
    pub log: Log,
}

/// Logging.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Values from flags, which win over everything.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub listen: Option<String>,
    pub model: Option<String>,
    pub device: Option<String>,
    pub dtype: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    server: RawServer,
    model: RawModel,
    limits: Limits,
    log: Log,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    listen: String,
    max_body_bytes: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    path: String,
    device: String,
    dtype: String,
    inpainting: bool,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration: {0}")]
    Unreadable(#[from] Box<figment::Error>),
    #[error("configuration: {key}: {message}")]
    Value { key: &'static str, message: String },
}

impl Config {
    /// Read all layers. `file` must exist if it is given.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment.merge(Env::prefixed(ENVIRONMENT).split("__"));
        for (key, value) in [
            ("server.listen", &overrides.listen),
            ("model.path", &overrides.model),
            ("model.device", &overrides.device),
            ("model.dtype", &overrides.dtype),
        ] {
            if let Some(value) = value {
                figment = figment.merge(Serialized::default(key, value));
            }
        }
        let raw: Raw = figment.extract().map_err(Box::new)?;
        raw.check()
    }
}

impl Raw {
    fn check(self) -> Result<Config, ConfigError> {
        let value = |key: &'static str| move |message: String| ConfigError::Value { key, message };
        let listen = self.server.listen;
        Ok(Config {
            listen: listen.parse().map_err(|_| {
                value("server.listen")(format!("{listen:?} is no address with a port, such as 127.0.0.1:8080"))
            })?,
            max_body_bytes: self.server.max_body_bytes,
            model_path: self.model.path,
            device: self.model.device.parse().map_err(value("model.device"))?,
            dtype: self.model.dtype.parse().map_err(value("model.dtype"))?,
            inpainting: self.model.inpainting,
            limits: self.limits,
            log: self.log,
        })
    }
}
