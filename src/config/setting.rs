//! What is declared about one setting: its key, default, rule and words.

use toml::Value;

use super::rules::Rule;

/// A setting as declared.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub section: &'static str,
    pub name: &'static str,
    pub default: Value,
    pub rule: Rule,
    /// Its meaning, line by line.
    pub words: &'static [&'static str],
}

impl Setting {
    /// `section.name`.
    pub fn key(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}
