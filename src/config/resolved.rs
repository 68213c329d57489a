//! The configuration as resolved.
//!
//! Invariant: secrets are never printed, nor are user names and passwords in addresses.

use std::fmt::Write as _;

use toml::Value;

use super::layers::Layers;
use super::redact::without_user_info;
use super::setting::Setting;

/// All settings with their values, in TOML, and the source of each. Secrets are redacted.
pub(super) fn print(layers: &Layers) -> String {
    let mut text = String::new();
    let mut section = "";
    for setting in layers.settings() {
        if setting.section != section {
            let _ = writeln!(text, "{}[{}]", if section.is_empty() { "" } else { "\n" }, setting.section);
            section = setting.section;
        }
        let key = setting.key();
        let value = layers.value(&key).unwrap_or(&setting.default);
        let source = layers.source(&key).unwrap_or_default();
        let _ = writeln!(text, "{:<48} # {source}", format!("{} = {}", setting.name, redacted(setting, value)));
    }
    text
}

fn redacted(setting: &Setting, value: &Value) -> String {
    let is_set = value.as_str() != Some("");
    if setting.rule.is_secret() && is_set { "\"[redacted]\"".to_owned() } else { without_user_info(&shown(value)) }
}

/// In TOML, which has texts, numbers and lists as JSON has them.
pub(super) fn shown(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
