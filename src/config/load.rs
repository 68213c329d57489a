//! The whole configuration, and how it is loaded.
//!
//! Invariant: a [`Config`] exists only if every value keeps its rule and all of them fit together.

use std::path::Path;

use super::error::{ConfigError, Violation};
use super::layers::{Layers, Overrides, environment};
use super::section::Section;
use super::sections::{
    Auth, Bot, Broker, Engine, Fetch, Jobs, KeysRequired, Marking, Metrics, Model, Moderation, Pictures, Queue, Server,
    Store, Styles, Translate, Web, Webhooks,
};
use super::setting::Setting;
use super::{relations, resolved};
use crate::domain::Limits;
use crate::telemetry::{LogSettings, TelemetrySettings, TraceSettings};

/// Declares the configuration from its sections, in the order of the files that are printed.
macro_rules! config {
    ($($name:ident: $section:ty,)*) => {
        /// Everything, checked.
        #[derive(Debug, Clone)]
        pub struct Config {
            $(pub $name: $section,)*
            resolved: String,
        }

        pub(super) fn sections() -> Vec<SectionInfo> {
            vec![$(SectionInfo {
                name: stringify!($name),
                words: <$section>::WORDS,
                settings: <$section>::settings(),
            }),*]
        }

        fn read(layers: &Layers) -> Result<Config, Violation> {
            Ok(Config { $($name: Section::read(layers)?,)* resolved: resolved::print(layers) })
        }
    };
}

config! {
    server: Server,
    auth: Auth,
    model: Model,
    engine: Engine,
    queue: Queue,
    store: Store,
    broker: Broker,
    pictures: Pictures,
    jobs: Jobs,
    webhooks: Webhooks,
    fetch: Fetch,
    moderation: Moderation,
    translate: Translate,
    marking: Marking,
    styles: Styles,
    limits: Limits,
    log: LogSettings,
    metrics: Metrics,
    traces: TraceSettings,
    web: Web,
    bot: Bot,
}

/// A section as declared.
pub(super) struct SectionInfo {
    pub name: &'static str,
    pub words: &'static [&'static str],
    pub settings: Vec<Setting>,
}

impl Config {
    /// Read all layers. `file` must exist if it is given.
    pub fn load(file: Option<&Path>, flags: &Overrides) -> Result<Self, ConfigError> {
        Self::from_layers(file, environment(), flags)
    }

    /// As [`Config::load`], with these variables in place of the process's: `("server.listen", "0.0.0.0:80")`.
    ///
    /// # Errors
    /// A file that cannot be read; else everything that is wrong with any setting, at once.
    pub fn from_layers(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut violations = Vec::new();
        let mut layers = Layers::new(sections().into_iter().flat_map(|section| section.settings).collect());
        if let Some(file) = file {
            layers.merge_file(file, &mut violations)?;
        }
        layers.merge_environment(environment, &mut violations);
        layers.merge_flags(flags, &mut violations);
        relations::check(&layers, &mut violations);
        if !violations.is_empty() {
            return Err(ConfigError::Invalid(violations));
        }
        read(&layers).map_err(|violation| ConfigError::Invalid(vec![violation]))
    }

    /// Whether requests need a key.
    #[must_use]
    pub fn needs_keys(&self) -> bool {
        match self.auth.required {
            KeysRequired::Always => true,
            KeysRequired::Never => false,
            KeysRequired::Auto => !self.auth.allow_anonymous && !self.server.listen.is_loopback(),
        }
    }

    /// What logs, metrics and traces are started with.
    #[must_use]
    pub fn telemetry(&self) -> TelemetrySettings {
        TelemetrySettings { log: self.log.clone(), metrics: self.metrics.enabled, traces: self.traces.clone() }
    }

    /// All settings with their values, in TOML, and the source of each. Secrets are redacted.
    #[must_use]
    pub fn resolved(&self) -> &str {
        &self.resolved
    }
}
