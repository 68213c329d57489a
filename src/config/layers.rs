//! The four layers merged: every setting's value and the file, variable or flag that gave it.
//!
//! Invariant: only declared settings, with values of their type, are merged; everything else is a violation.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::error::{ConfigError, Violation};
use super::setting::Setting;

const ENVIRONMENT: &str = "KANDINSKY__";

/// Values from flags, which take precedence over every other layer.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub listen: Option<String>,
    pub data: Option<String>,
    pub model: Option<String>,
    /// Several are separated by commas.
    pub device: Option<String>,
    pub dtype: Option<String>,
    pub allow_anonymous: Option<bool>,
    pub translator: Option<String>,
    pub bot: BotOverrides,
}

/// Those of the bot.
#[derive(Debug, Clone, Default)]
pub struct BotOverrides {
    pub server: Option<String>,
    pub key: Option<String>,
    pub token_file: Option<String>,
    pub data: Option<String>,
}

/// The process's variables that belong to the configuration, by key: `KANDINSKY__SERVER__LISTEN` is `server.listen`.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    let own = |name: &str| {
        let (prefix, rest) = name.split_at_checked(ENVIRONMENT.len())?;
        prefix.eq_ignore_ascii_case(ENVIRONMENT).then(|| rest.to_lowercase().replace("__", "."))
    };
    std::env::vars_os()
        .filter_map(|(name, value)| Some((own(name.to_str()?)?, value.to_string_lossy().into_owned())))
        .collect()
}

/// A value, and what gave it: `default`, a file, a variable or a flag.
#[derive(Debug, Clone)]
struct Layered {
    value: Value,
    source: String,
}

/// The merged layers.
#[derive(Debug)]
pub(super) struct Layers {
    settings: Vec<Setting>,
    values: BTreeMap<String, Layered>,
}

impl Layers {
    /// The defaults alone.
    pub fn new(settings: Vec<Setting>) -> Self {
        let default = |setting: &Setting| Layered { value: setting.default.clone(), source: "default".to_owned() };
        let values = settings.iter().map(|setting| (setting.key(), default(setting))).collect();
        Self { settings, values }
    }

    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Merge a TOML file.
    pub fn merge_file(&mut self, file: &Path, violations: &mut Vec<Violation>) -> Result<(), ConfigError> {
        let unreadable = |message: String| ConfigError::Unreadable { file: file.to_owned(), message };
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
        let source = file.display().to_string();
        for (section, value) in parse(&text).map_err(unreadable)? {
            if !self.settings.iter().any(|setting| setting.section == section) {
                let names = self.settings.iter().map(|setting| setting.section.to_owned());
                let message = unknown("section", &section, names);
                violations.push(Violation { key: section, message, source: Some(source.clone()) });
                continue;
            }
            let Value::Table(values) = value else {
                let message = "must be a section".to_owned();
                violations.push(Violation { key: section, message, source: Some(source.clone()) });
                continue;
            };
            for (name, value) in values {
                self.merge(&format!("{section}.{name}"), value, &source, violations);
            }
        }
        Ok(())
    }

    /// Merge variables of the environment, by key.
    pub fn merge_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
        violations: &mut Vec<Violation>,
    ) {
        for (key, text) in variables {
            let source = format!("{ENVIRONMENT}{}", key.replace('.', "__").to_uppercase());
            self.merge_text(&key, &text, &source, violations);
        }
    }

    /// Merge flags.
    pub fn merge_flags(&mut self, flags: &Overrides, violations: &mut Vec<Violation>) {
        let Overrides { listen, data, model, device, dtype, allow_anonymous, translator, bot } = flags;
        for (key, flag, text) in [
            ("server.listen", "--listen", listen),
            ("server.data", "--data", data),
            ("auth.allow_anonymous", "--allow-anonymous", &allow_anonymous.map(|allow| allow.to_string())),
            ("model.path", "--model", model),
            ("model.device", "--device", device),
            ("model.dtype", "--dtype", dtype),
            ("translate.backend", "--translator", translator),
            ("bot.server", "--server", &bot.server),
            ("bot.key", "--key", &bot.key),
            ("bot.token_file", "--token-file", &bot.token_file),
            ("bot.data", "--data", &bot.data),
        ] {
            if let Some(text) = text {
                self.merge_text(key, text, flag, violations);
            }
        }
    }

    /// Merge a value that came as text.
    fn merge_text(&mut self, key: &str, text: &str, source: &str, violations: &mut Vec<Violation>) {
        let value = self.find(key).map_or_else(|| Value::from(text), |setting| setting.rule.parse_text(text));
        self.merge(key, value, source, violations);
    }

    fn merge(&mut self, key: &str, value: Value, source: &str, violations: &mut Vec<Violation>) {
        let message = match self.find(key) {
            Some(setting) => setting.rule.type_error(&value),
            None => Some(unknown("key", key, self.settings.iter().map(Setting::key))),
        };
        let source = source.to_owned();
        match message {
            Some(message) => violations.push(Violation { key: key.to_owned(), message, source: Some(source) }),
            None => drop(self.values.insert(key.to_owned(), Layered { value, source })),
        }
    }

    fn find(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key() == key)
    }

    /// The value of a declared setting.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|layered| &layered.value)
    }

    /// What gave a declared setting its value.
    pub fn source(&self, key: &str) -> Option<String> {
        self.values.get(key).map(|layered| layered.source.clone())
    }

    /// Read a value that was checked. An error names the key, but not the value, which may be a secret.
    pub fn read<T>(&self, key: &str, reader: impl Fn(&Value) -> Result<T, String>) -> Result<T, Violation> {
        self.value(key).and_then(|value| reader(value).ok()).ok_or_else(|| Violation {
            key: key.to_owned(),
            message: "has a value that cannot be used".to_owned(),
            source: self.source(key),
        })
    }
}

/// A TOML document. The message of an error has a place, but not the text that is there, which may hold a secret.
pub(super) fn parse(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| match error.span() {
        Some(span) => {
            let before = text.get(..span.start).unwrap_or(text);
            format!("line {}: {}", before.matches('\n').count() + 1, error.message())
        }
        None => error.message().to_owned(),
    })
}

/// Says that there is no such name, and which is nearest, if one is near.
fn unknown(what: &str, name: &str, names: impl Iterator<Item = String>) -> String {
    let leaf = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let nearest = names
        // The right name in the wrong section counts as near.
        .map(|known| (if leaf(&known) == leaf(name) { 1 } else { strsim::damerau_levenshtein(&known, name) }, known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2.max(name.len() / 4));
    match nearest {
        Some((_, known)) => format!("unknown {what}; did you mean {known}?"),
        None => format!("unknown {what}"),
    }
}
