//! The four layers, and what is known of them: which keys there are, of which type, and who said what.
//!
//! Invariant: only keys that `config/default.toml` has, with values of the type they have there, are merged; everything
//! else is a violation.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use figment::providers::{Env, Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{ConfigError, Overrides, Violation};

pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");
const ENVIRONMENT: &str = "KANDINSKY__";
/// Never printed.
const SECRETS: [&str; 5] =
    ["auth.url_secret", "store.url", "pictures.secret_access_key", "webhooks.secret", "moderation.remote_key"];
/// What a default value may be replaced by besides its own type.
const LIST_OR_TEXT: &str = "model.device";

/// The variables of the process that are meant for the configuration, by key: `KANDINSKY__SERVER__LISTEN` is
/// `server.listen`.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    Env::prefixed(ENVIRONMENT).split("__").iter().map(|(key, value)| (key.into_string(), value)).collect()
}

/// One source of values.
struct Layer {
    name: String,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// All layers. What cannot be used of them is noted and left out.
pub(super) fn merged(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
    violations: &mut Vec<Violation>,
) -> Result<Figment, ConfigError> {
    let unreadable = |file: &Path, message: String| ConfigError::Unreadable { file: file.to_owned(), message };
    let defaults = parse(DEFAULTS).map_err(|message| unreadable(Path::new("config/default.toml"), message))?;
    let mut figment = Figment::from(Layer { name: "default".to_owned(), dict: defaults.clone() });
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, error.to_string()))?;
        let dict = parse(&text).map_err(|message| unreadable(file, message))?;
        let name = file.display().to_string();
        let dict = known(dict, &defaults, &name, violations);
        figment = figment.merge(Layer { name, dict });
    }
    for (key, text) in environment {
        let name = format!("{ENVIRONMENT}{}", key.replace('.', "__").to_uppercase());
        figment = merge_text(figment, &defaults, &key, &text, name, violations);
    }
    let Overrides { listen, data, model, device, dtype, allow_anonymous } = overrides;
    let allow_anonymous = &allow_anonymous.map(|allow| allow.to_string());
    for (key, flag, text) in [
        ("server.listen", "--listen", listen),
        ("server.data", "--data", data),
        ("auth.allow_anonymous", "--allow-anonymous", allow_anonymous),
        ("model.path", "--model", model),
        ("model.device", "--device", device),
        ("model.dtype", "--dtype", dtype),
    ] {
        if let Some(text) = text {
            figment = merge_text(figment, &defaults, key, text, flag.to_owned(), violations);
        }
    }
    Ok(figment)
}

pub(super) fn parse(text: &str) -> Result<Dict, String> {
    let mut profiles = Toml::string(text).data().map_err(|error| without_snippet(&error))?;
    Ok(profiles.remove(&Profile::Default).unwrap_or_default())
}

/// What the parser says, without the line that it quotes, which may hold a secret.
fn without_snippet(error: &figment::Error) -> String {
    let text = match &error.kind {
        figment::error::Kind::Message(text) => text.clone(),
        _ => "not TOML".to_owned(),
    };
    let is_snippet =
        |line: &&str| !line.split_once('|').is_some_and(|(n, _)| n.chars().all(|c| c == ' ' || c.is_ascii_digit()));
    text.lines().filter(is_snippet).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}

/// A value that came as text, read as the type of its default.
fn merge_text(
    figment: Figment,
    defaults: &Dict,
    key: &str,
    text: &str,
    name: String,
    violations: &mut Vec<Violation>,
) -> Figment {
    let value = match find(defaults, key) {
        Some(Value::Bool(..)) => text.trim().parse::<bool>().ok().map(Value::from),
        Some(Value::Num(_, number)) if number.to_i128().is_some() => text.trim().parse::<i64>().ok().map(Value::from),
        Some(Value::Num(..)) => text.trim().parse::<f64>().ok().map(Value::from),
        Some(Value::Array(..)) => {
            Some(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Value::from).collect::<Vec<_>>().into())
        }
        _ => None,
    }
    // Text where it was asked for; else the check of types says what is wrong.
    .unwrap_or_else(|| Value::from(text));
    let dict = match key.split_once('.') {
        Some((section, rest)) => Dict::from([(section.to_owned(), Dict::from([(rest.to_owned(), value)]).into())]),
        None => Dict::from([(key.to_owned(), value)]),
    };
    let dict = known(dict, defaults, &name, violations);
    figment.merge(Layer { name, dict })
}

/// The part of `dict` that the defaults know.
fn known(dict: Dict, defaults: &Dict, source: &str, violations: &mut Vec<Violation>) -> Dict {
    let mut kept = Dict::new();
    let mut note = |key: String, message: String| {
        violations.push(Violation { key, message, source: Some(source.to_owned()) });
    };
    for (section, value) in dict {
        let Some(Value::Dict(_, known)) = defaults.get(&section) else {
            let message = unknown("section", &section, defaults.keys().map(String::as_str));
            note(section, message);
            continue;
        };
        let Value::Dict(_, values) = value else {
            note(section, "must be a section".to_owned());
            continue;
        };
        let mut good = Dict::new();
        for (key, value) in values {
            let path = format!("{section}.{key}");
            match known.get(&key) {
                None => {
                    let all = keys(defaults);
                    let message = unknown("key", &path, all.iter().map(String::as_str));
                    note(path, message);
                }
                Some(default) => match type_error(&path, default, &value) {
                    Some(message) => note(path, message),
                    None => drop(good.insert(key, value)),
                },
            }
        }
        kept.insert(section, good.into());
    }
    kept
}

/// All keys, `section.key`.
pub(super) fn keys(defaults: &Dict) -> BTreeSet<String> {
    let sections = defaults.iter().filter_map(|(section, value)| Some((section, value.as_dict()?)));
    sections.flat_map(|(section, values)| values.keys().map(move |key| format!("{section}.{key}"))).collect()
}

fn find<'a>(defaults: &'a Dict, key: &str) -> Option<&'a Value> {
    let (section, key) = key.split_once('.')?;
    defaults.get(section)?.as_dict()?.get(key)
}

/// Says that there is no such name, and which is nearest, if one is near.
fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let leaf = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let nearest = names
        // The right name in the wrong section counts as near.
        .map(|known| (if leaf(known) == leaf(name) { 1 } else { strsim::damerau_levenshtein(known, name) }, known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2.max(name.len() / 4));
    match nearest {
        Some((_, known)) => format!("unknown {what}; did you mean {known}?"),
        None => format!("unknown {what}"),
    }
}

/// What is wrong with the type of a value.
fn type_error(key: &str, default: &Value, value: &Value) -> Option<String> {
    let texts = |value: &Value| {
        value.as_str().is_some() || value.as_array().is_some_and(|list| list.iter().all(|item| item.as_str().is_some()))
    };
    let whole = |value: &Value| value.to_i128().is_some();
    let (good, wanted) = match default {
        Value::String(..) if key == LIST_OR_TEXT => (texts(value), "text or a list of texts"),
        Value::String(..) => (value.as_str().is_some(), "text"),
        Value::Bool(..) => (value.to_bool().is_some(), "true or false"),
        Value::Num(..) if whole(default) => (whole(value), "a whole number"),
        Value::Num(..) => (matches!(value, Value::Num(..)), "a number"),
        Value::Array(..) => (texts(value) && value.as_str().is_none(), "a list of texts"),
        _ => (false, "what it is not"),
    };
    (!good).then(|| format!("must be {wanted}"))
}

/// All keys with their values and where those came from, secrets redacted.
pub(super) fn resolved(figment: &Figment) -> String {
    let mut text = String::new();
    let defaults = parse(DEFAULTS).unwrap_or_default();
    for (section, values) in &defaults {
        let _ = writeln!(text, "[{section}]");
        for key in values.as_dict().into_iter().flat_map(Dict::keys) {
            let path = format!("{section}.{key}");
            let Ok(value) = figment.find_value(&path) else { continue };
            let source = source(figment, &path).unwrap_or_else(|| "default".to_owned());
            let secret = SECRETS.contains(&path.as_str()) && value.as_str() != Some("");
            let shown = if secret { "\"[redacted]\"".to_owned() } else { shown(&value) };
            let _ = writeln!(text, "{:<48} # {source}", format!("{key} = {shown}"));
        }
        text.push('\n');
    }
    text
}

/// In TOML, which writes texts, numbers and lists as JSON does.
fn shown(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The file, variable or flag that gave this key its value.
pub(super) fn source(figment: &Figment, key: &str) -> Option<String> {
    figment.find_metadata(key).map(|metadata| metadata.name.to_string())
}
