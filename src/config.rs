//! The configuration: defaults below a file below the environment below flags.
//!
//! Invariant: `config/default.toml` is the one place that holds defaults, and a [`Config`] has been checked. Fields are
//! named as their keys. Secrets are never printed.

mod check;
mod error;
mod files;
mod layers;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use secrecy::SecretString;
use serde::Deserialize;

use crate::domain::{BackendChoice, DeviceChoice, Dtype, Limits};
use crate::telemetry::{LogSettings, TelemetrySettings, TraceSettings};

pub use error::{ConfigError, Violation};
pub use layers::environment;

/// Everything, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: Server,
    pub auth: Auth,
    pub model: Model,
    pub engine: Engine,
    pub queue: Queue,
    pub store: Store,
    pub pictures: Pictures,
    pub jobs: Jobs,
    pub webhooks: Webhooks,
    pub fetch: Fetch,
    pub moderation: Moderation,
    pub marking: Marking,
    pub styles: Styles,
    pub limits: Limits,
    pub log: LogSettings,
    pub metrics: Metrics,
    pub traces: TraceSettings,
    resolved: String,
}

/// How the server listens, and what it lets one client take.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    #[serde(deserialize_with = "values::parsed")]
    pub listen: SocketAddr,
    /// Without a slash at its end. Empty: from the `Host` header.
    #[serde(deserialize_with = "values::base_url")]
    pub public_url: String,
    pub max_body_bytes: usize,
    /// Of all bodies being read.
    pub max_body_bytes_in_flight: usize,
    pub max_connections: usize,
    pub header_timeout_s: u64,
    /// Between two parts of a body.
    pub body_timeout_s: u64,
    pub drain_grace_s: u64,
    pub data: PathBuf,
    pub cors_origins: Vec<String>,
}

/// Who may call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub required: KeysRequired,
    /// Where nothing but its address keeps strangers from the server.
    pub allow_anonymous: bool,
    /// Empty: the server makes one.
    pub url_secret: SecretString,
    pub url_ttl_s: u64,
}

/// Whether requests need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeysRequired {
    Auto,
    Always,
    Never,
}

/// What to run, on what.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Empty: the embedded model.
    pub path: String,
    /// One worker each; at least one.
    #[serde(deserialize_with = "values::devices")]
    pub device: Vec<DeviceChoice>,
    #[serde(deserialize_with = "values::parsed")]
    pub dtype: Dtype,
    #[serde(deserialize_with = "values::parsed")]
    pub backend: BackendChoice,
    pub inpainting: bool,
}

/// One worker's bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    pub max_pictures_in_flight: usize,
    /// Steps of several pictures together.
    pub batching: bool,
}

/// What is accepted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Waiting or running.
    pub max_jobs: usize,
    /// In the unit of `Generation::cost`; 0 stands for [`Queue::DEFAULT_COST`], see [`Queue::cost_limit`].
    pub max_cost: u64,
    /// Of decoded pictures.
    pub max_input_bytes: usize,
    pub most_losses: u32,
    pub lease_s: u64,
}

impl Queue {
    /// 4096 pictures of 512 x 512 px at 50 steps.
    pub const DEFAULT_COST: u64 = 4096 * 50 * 512 * 512;

    /// Most work accepted and not done, in the unit of `Generation::cost`.
    #[must_use]
    pub fn cost_limit(&self) -> u64 {
        if self.max_cost == 0 { Self::DEFAULT_COST } else { self.max_cost }
    }
}

/// The database of jobs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Empty: SQLite in `server.data`.
    pub url: SecretString,
    pub max_connections: u32,
}

/// Where pictures are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pictures {
    /// `s3://bucket/prefix`; empty: a folder in `server.data`.
    pub url: String,
    /// Empty: Amazon's.
    pub endpoint: String,
    pub region: String,
    /// Empty together with `secret_access_key`: the machine's role.
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub allow_http: bool,
}

/// How long jobs are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    pub ttl_s: u64,
    pub forget_after_s: u64,
    pub clean_interval_s: u64,
}

/// How ends of jobs are told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    pub enabled: bool,
    /// `whsec_` and base64; empty: the server makes one.
    pub secret: SecretString,
    pub timeout_s: u64,
    pub max_attempts: u32,
    pub allow_private: bool,
}

/// Pictures by address.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    pub enabled: bool,
    pub max_bytes: usize,
    pub timeout_s: u64,
    pub allow_private: bool,
}

/// What is refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moderation {
    /// Who is asked, in this order.
    pub chain: Vec<ModerationLink>,
    /// A folder of TOML files; None: the built-in ones.
    #[serde(deserialize_with = "values::optional_path")]
    pub lexicon: Option<PathBuf>,
    /// A JSON file that `kandinsky moderation learn` wrote; None: there is no classifier.
    #[serde(deserialize_with = "values::optional_path")]
    pub concepts: Option<PathBuf>,
    pub threshold: f32,
    /// A TOML file of policies by name.
    #[serde(deserialize_with = "values::optional_path")]
    pub policies: Option<PathBuf>,
    pub remote_url: String,
    pub remote_kind: RemoteService,
    pub remote_model: String,
    /// A bearer token, or the secret that messages are signed with.
    pub remote_key: SecretString,
    /// Of one attempt.
    pub remote_timeout_s: u64,
    pub remote_retries: u32,
    pub remote_on_failure: OnFailure,
    /// What becomes of finished pictures that are refused.
    pub results: ResultsAction,
    /// Who is asked about finished pictures, in this order.
    pub results_chain: Vec<ResultsLink>,
}

/// What becomes of finished pictures that are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultsAction {
    /// Nobody is asked.
    Off,
    Block,
    Blur,
}

/// A part of the chain of moderation for pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultsLink {
    Classifier,
    Remote,
}

/// A part of the chain of moderation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModerationLink {
    Lexicon,
    Classifier,
    Remote,
}

/// What the remote moderation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemoteService {
    /// A service with OpenAI's moderations API.
    OpenAi,
    /// One of the operator's own, sent signed messages.
    Webhook,
}

/// What becomes of prompts and pictures while the remote moderation does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    Refuse,
    Allow,
}

/// What files say of their origin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marking {
    /// Name the digital source type in XMP.
    pub xmp: bool,
    /// PEM, the signer's own first. None, together with `c2pa_key`: pictures are not signed.
    #[serde(deserialize_with = "values::optional_path")]
    pub c2pa_certificates: Option<PathBuf>,
    /// PEM in PKCS#8.
    #[serde(deserialize_with = "values::optional_path")]
    pub c2pa_key: Option<PathBuf>,
    /// By C2PA's name, in small letters.
    pub c2pa_algorithm: String,
}

/// Named styles.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Styles {
    /// None: the built-in ones.
    #[serde(deserialize_with = "values::optional_path")]
    pub file: Option<PathBuf>,
}

/// Prometheus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub enabled: bool,
}

/// Values from flags, which win over everything.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub listen: Option<String>,
    pub data: Option<String>,
    pub model: Option<String>,
    /// Several are separated by commas.
    pub device: Option<String>,
    pub dtype: Option<String>,
    pub allow_anonymous: Option<bool>,
}

impl Config {
    /// Read all layers. `file` must exist if it is given.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::from_layers(file, environment(), overrides)
    }

    /// As [`Config::load`], with these variables in place of the process's: `("server.listen", "0.0.0.0:80")`.
    pub fn from_layers(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut violations = Vec::new();
        let figment = layers::merged(file, environment, overrides, &mut violations)?;
        check::values(&figment, &mut violations);
        if !violations.is_empty() {
            return Err(ConfigError::Invalid(violations));
        }
        Ok(Self {
            server: section(&figment, "server")?,
            auth: section(&figment, "auth")?,
            model: section(&figment, "model")?,
            engine: section(&figment, "engine")?,
            queue: section(&figment, "queue")?,
            store: section(&figment, "store")?,
            pictures: section(&figment, "pictures")?,
            jobs: section(&figment, "jobs")?,
            webhooks: section(&figment, "webhooks")?,
            fetch: section(&figment, "fetch")?,
            moderation: section(&figment, "moderation")?,
            marking: section(&figment, "marking")?,
            styles: section(&figment, "styles")?,
            limits: section(&figment, "limits")?,
            log: section(&figment, "log")?,
            metrics: section(&figment, "metrics")?,
            traces: section(&figment, "traces")?,
            resolved: layers::resolved(&figment),
        })
    }

    /// Whether requests need a key.
    #[must_use]
    pub fn needs_keys(&self) -> bool {
        match self.auth.required {
            KeysRequired::Always => true,
            KeysRequired::Never => false,
            KeysRequired::Auto => !self.auth.allow_anonymous && !is_loopback(self.server.listen),
        }
    }

    /// What logs, metrics and traces are started with.
    #[must_use]
    pub fn telemetry(&self) -> TelemetrySettings {
        TelemetrySettings { log: self.log.clone(), metrics: self.metrics.enabled, traces: self.traces.clone() }
    }

    /// All keys with their values, in TOML, and where each came from. Secrets are redacted.
    #[must_use]
    pub fn resolved(&self) -> &str {
        &self.resolved
    }

    /// Look into the files that the configuration names, beyond the model.
    #[must_use]
    pub fn check_files(&self) -> Vec<Violation> {
        files::check(self)
    }
}

/// Whether only this machine reaches an address.
fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn section<T: for<'de> Deserialize<'de>>(figment: &Figment, name: &'static str) -> Result<T, ConfigError> {
    // What the checks let through and serde does not is said with the key, but without the value: it may be a secret.
    figment.extract_inner(name).map_err(|error| {
        let key = if error.path.is_empty() { name.to_owned() } else { error.path.join(".") };
        ConfigError::Invalid(vec![Violation {
            key,
            message: "has a value that cannot be used".to_owned(),
            source: None,
        }])
    })
}
