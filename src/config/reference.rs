//! The settings as files: `config/default.toml` and `docs/settings.md`.
//!
//! Invariant: both are printed from the declarations; a test compares them with what is committed.

use std::fmt::Write as _;

use super::load::sections;
use super::resolved::shown;

const DEFAULT_TOML: &str = "\
# Every setting of kandinsky with its default. Copy what you change into a file of your own and pass it with --config,
# or set it in the environment: KANDINSKY__SERVER__LISTEN=0.0.0.0:8080. Flags take precedence over the environment, and the
# environment over the file. Lists in the environment are separated by commas. `kandinsky serve --check` prints what was
# resolved. This file is printed by `kandinsky config`.
";

const SETTINGS_MD: &str = "\
# Settings

Every setting with its type, default and meaning. `section.name` is `name = value` below `[section]` in a TOML file
(`--config`), and the variable `KANDINSKY__SECTION__NAME`; lists in variables are separated by commas. Flags take precedence
over variables, variables over the file. Unknown keys are errors. `kandinsky serve --check` prints what was resolved, with the
source of each value. This page is printed by `kandinsky config --reference`.
";

/// `config/default.toml`.
#[must_use]
pub fn default_toml() -> String {
    let mut text = DEFAULT_TOML.to_owned();
    for section in sections() {
        let _ = write!(text, "\n[{}]\n", section.name);
        for setting in section.settings {
            for line in setting.words {
                let _ = writeln!(text, "#{line}");
            }
            if setting.rule.is_secret() {
                text.push_str("# It is a secret, which is never printed.\n");
            }
            let _ = writeln!(text, "{} = {}", setting.name, shown(&setting.default));
        }
    }
    text
}

/// `docs/settings.md`.
#[must_use]
pub fn settings_md() -> String {
    let mut text = SETTINGS_MD.to_owned();
    for section in sections() {
        let about = section.words.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n");
        let _ = write!(
            text,
            "\n## `{}`\n\n{about}\n\n| setting | type | default | meaning |\n|---|---|---|---|\n",
            section.name
        );
        for setting in section.settings {
            let words = setting
                .words
                .iter()
                .map(|line| line.trim())
                .collect::<Vec<_>>()
                .join(" ")
                .replace('|', "\\|")
                .replace('<', "\\<");
            let (key, rule, default) = (setting.key(), setting.rule.describe(), shown(&setting.default));
            let _ = writeln!(text, "| `{key}` | {rule} | `{default}` | {words} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_what_the_declarations_give() {
        for (file, expected, command) in [
            ("config/default.toml", default_toml(), "kandinsky config"),
            ("docs/settings.md", settings_md(), "kandinsky config --reference"),
        ] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let found = std::fs::read_to_string(path).unwrap_or_default();
            assert!(found == expected, "{file} is out of date: {command} > {file}");
        }
    }

    #[test]
    fn every_default_keeps_its_own_rule() {
        for section in sections() {
            for setting in section.settings {
                let key = setting.key();
                assert_eq!(setting.rule.type_error(&setting.default), None, "{key}");
                assert_eq!(setting.rule.check(&setting.default), Ok(()), "{key}");
                assert!(setting.words.iter().all(|line| line.len() <= 119), "{key}: its words are too long for a line");
            }
        }
    }
}
