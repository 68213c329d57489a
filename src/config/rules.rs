//! What a single value must be, beyond its type. (`relations.rs` has what several must be together.)
//!
//! Invariant: a message never repeats the value of a secret.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use base64::Engine as _;
use toml::Value;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::listen::ListenAddress;
use super::readers;

pub(super) const KIB: i64 = 1 << 10;
pub(super) const GIB: i64 = 1 << 30;
pub(super) const DAY_S: i64 = 86_400;

/// A check of text; its message completes "KEY: ...".
pub(super) type TextRule = fn(&str) -> Result<(), String>;

/// The type and the bounds of a value.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    Flag,
    Whole(RangeInclusive<i64>),
    Number(RangeInclusive<f64>),
    Text(TextRule),
    /// As `Text`, and never printed.
    Secret(TextRule),
    /// One of these names.
    OneOf(&'static [&'static str]),
    /// Texts, each by the rule.
    List(TextRule),
    /// Some of these names, none twice.
    Some(&'static [&'static str]),
    /// Texts by the rule, at least one; or one text with commas between them.
    ListOrText(TextRule),
}

impl Rule {
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// A text, as the environment and flags have it, as a value of the rule's type; left as text if it is not of that type.
    pub fn parse_text(&self, text: &str) -> Value {
        let value = match self {
            Self::Flag => text.trim().parse().ok().map(Value::Boolean),
            Self::Whole(_) => text.trim().parse().ok().map(Value::Integer),
            Self::Number(_) => text.trim().parse().ok().map(Value::Float),
            Self::List(_) | Self::Some(_) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(items.map(Value::from).collect()))
            }
            Self::Text(_) | Self::Secret(_) | Self::OneOf(_) | Self::ListOrText(_) => None,
        };
        value.unwrap_or_else(|| Value::from(text))
    }

    /// What is wrong with the type of a value.
    pub fn type_error(&self, value: &Value) -> Option<String> {
        let is_list = value.as_array().is_some_and(|list| list.iter().all(Value::is_str));
        let (good, wanted) = match self {
            Self::Flag => (value.is_bool(), "true or false"),
            Self::Whole(_) => (value.is_integer(), "a whole number"),
            Self::Number(_) => (value.is_integer() || value.is_float(), "a number"),
            Self::Text(_) | Self::Secret(_) | Self::OneOf(_) => (value.is_str(), "text"),
            Self::List(_) | Self::Some(_) => (is_list, "a list of texts"),
            Self::ListOrText(_) => (is_list || value.is_str(), "text or a list of texts"),
        };
        (!good).then(|| format!("must be {wanted}"))
    }

    /// What is wrong with a value of the right type.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let text = value.as_str().unwrap_or_default();
        match self {
            Self::Flag => Ok(()),
            Self::Whole(range) => match value.as_integer() {
                Some(value) if !range.contains(&value) => Err(format!("must be {}, not {value}", whole(range))),
                _ => Ok(()),
            },
            Self::Number(range) => {
                let number = readers::parsed::<f64>(value)?;
                if range.contains(&number) {
                    return Ok(());
                }
                Err(format!("must be {} to {}, not {number}", range.start(), range.end()))
            }
            Self::Text(rule) | Self::Secret(rule) => rule(text),
            Self::OneOf(names) => one_of(text, names),
            Self::List(rule) => readers::items(value).iter().try_for_each(|item| rule(item)),
            Self::Some(names) => {
                let items = readers::items(value);
                items.iter().enumerate().try_for_each(|(i, item)| match one_of(item, names) {
                    Err(message) => Err(format!("{message}, not {item:?}")),
                    Ok(()) if items[..i].contains(item) => Err(format!("names {item} twice")),
                    Ok(()) => Ok(()),
                })
            }
            Self::ListOrText(rule) => {
                let items = readers::items(value);
                if items.is_empty() {
                    return Err("must have at least one entry".to_owned());
                }
                items.iter().try_for_each(|item| rule(item))
            }
        }
    }

    /// The type and its bounds, for people.
    pub fn describe(&self) -> String {
        let names = |names: &[&str]| {
            names.iter().fold(String::new(), |mut text, name| {
                let _ = write!(text, "{}`{name}`", if text.is_empty() { "" } else { ", " });
                text
            })
        };
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Whole(range) => format!("whole number, {}", whole(range)),
            Self::Number(range) => format!("number, {} to {}", range.start(), range.end()),
            Self::Text(_) => "text".to_owned(),
            Self::Secret(_) => "secret text".to_owned(),
            Self::OneOf(known) => format!("one of {}", names(known)),
            Self::List(_) => "list of texts".to_owned(),
            Self::Some(known) => format!("list of {}", names(known)),
            Self::ListOrText(_) => "text or list of texts".to_owned(),
        }
    }
}

/// `1 to 3600`; or `1 or more`, as the largest integer of TOML stands for no bound.
fn whole(range: &RangeInclusive<i64>) -> String {
    match *range.end() {
        i64::MAX => format!("{} or more", range.start()),
        most => format!("{} to {most}", range.start()),
    }
}

fn one_of(text: &str, names: &[&str]) -> Result<(), String> {
    if names.contains(&text) { Ok(()) } else { Err(format!("must be {}", names.join(" or "))) }
}

/// Any text but NUL, which no file name and no header has.
pub(super) fn any(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("must not contain NUL".to_owned()) } else { Ok(()) }
}

/// The code of a language, such as ru or zh.
pub(super) fn language(text: &str) -> Result<(), String> {
    let is_code = (2..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if is_code { Ok(()) } else { Err("must be the code of a language in lower case, such as \"ru\"".to_owned()) }
}

pub(super) fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { any(text) }
}

/// Where to listen, or nothing.
pub(super) fn optional_listen(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { parses::<ListenAddress>(text) }
}

/// Text that this type can be parsed from.
pub(super) fn parses<T: std::str::FromStr<Err = String>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop)
}

pub(super) fn optional_http_url(text: &str) -> Result<(), String> {
    let good = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    if text.is_empty() || Url::parse(text).is_ok_and(|url| good(&url)) {
        return Ok(());
    }
    Err("must be empty or an address such as https://host.example.org".to_owned())
}

/// An address that clients are told, or nothing.
pub(super) fn public_url(text: &str) -> Result<(), String> {
    optional_http_url(text)?;
    let is_secret = |url: Url| !url.username().is_empty() || url.password().is_some();
    if Url::parse(text).is_ok_and(is_secret) {
        Err("must have no user name and no password: every answer names it".to_owned())
    } else {
        Ok(())
    }
}

/// An address of a server.
pub(super) fn http_url(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("must be an address such as https://host.example.org".to_owned())
    } else {
        optional_http_url(text)
    }
}

/// A whole number, as text.
pub(super) fn whole_number(text: &str) -> Result<(), String> {
    text.parse::<i64>().map(drop).map_err(|_| "must have whole numbers only".to_owned())
}

/// Whether this is a token of a Telegram bot.
#[must_use]
pub fn is_bot_token(text: &str) -> bool {
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    let is_secret = |secret: &str| {
        secret.len() >= 20 && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.split_once(':').is_some_and(|(id, secret)| is_id(id) && is_secret(secret))
}

/// A token of a Telegram bot, or none.
pub(super) fn bot_token(text: &str) -> Result<(), String> {
    if text.is_empty() || is_bot_token(text) {
        return Ok(());
    }
    Err("must be empty or a token as @BotFather gives it: digits, a colon, and at least 20 letters and digits"
        .to_owned())
}

/// A secret that Telegram shows with each call of a webhook.
pub(super) fn bot_webhook_secret(text: &str) -> Result<(), String> {
    let is_secret =
        (16..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if text.is_empty() || is_secret {
        Ok(())
    } else {
        Err("must be empty or 16 to 256 letters, digits, - and _".to_owned())
    }
}

/// The address of a database. It holds a password, so no message repeats it.
pub(super) fn store_url(text: &str) -> Result<(), String> {
    let good = |url: &Url| matches!(url.scheme(), "postgres" | "postgresql");
    if text.is_empty() || Url::parse(text).is_ok_and(|url| good(&url)) {
        return Ok(());
    }
    Err("must be empty or an address such as postgres://user:password@host/name".to_owned())
}

pub(super) fn broker_url(text: &str) -> Result<(), String> {
    let good =
        |url: &str| Url::parse(url.trim()).is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && url.has_host());
    if text.is_empty() || text.split(',').all(good) {
        return Ok(());
    }
    Err("must be empty or an address such as nats://user:password@host:4222, or several with commas between them"
        .to_owned())
}

/// Letters, digits, `-` and `_`.
pub(super) fn plain_name(text: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=32).contains(&text.len()) && text.bytes().all(is_plain) {
        return Ok(());
    }
    Err("must be 1 to 32 letters, digits, '-' and '_'".to_owned())
}

pub(super) fn pictures_url(text: &str) -> Result<(), String> {
    if text.is_empty() || Url::parse(text).is_ok_and(|url| url.scheme() == "s3" && url.has_host()) {
        return Ok(());
    }
    Err("must be empty or an address such as s3://bucket/prefix".to_owned())
}

/// A secret of Standard Webhooks.
pub(super) fn webhook_secret(text: &str) -> Result<(), String> {
    let bytes = |base64: &str| base64::engine::general_purpose::STANDARD.decode(base64).ok();
    if text.is_empty() || text.strip_prefix("whsec_").and_then(bytes).is_some_and(|key| (24..=64).contains(&key.len()))
    {
        return Ok(());
    }
    Err("must be empty or whsec_ and base64 of 24 to 64 bytes".to_owned())
}

pub(super) fn url_secret(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() >= 32 {
        return Ok(());
    }
    Err("must be empty or at least 32 characters".to_owned())
}

pub(super) fn log_level(text: &str) -> Result<(), String> {
    let levels = ["trace", "debug", "info", "warn", "error", "off"];
    // A filter of one unknown word would be the name of a target, and turn everything else off.
    if text.chars().all(char::is_alphanumeric) && !levels.contains(&text.to_lowercase().as_str()) {
        return Err(format!("must be one of {}, or a filter", levels.join(", ")));
    }
    EnvFilter::try_new(text).map(drop).map_err(|error| error.to_string())
}

/// An origin of web pages, or `*`. Applications that are pages themselves have schemes of their own: `app://obsidian.md`.
pub(super) fn origin(text: &str) -> Result<(), String> {
    if text == "*" {
        return Ok(());
    }
    if text.contains('*') {
        return Err(format!("{text:?} has a wildcard, which matches no origin: name each one, or \"*\" for all"));
    }
    let is_plain = |host: &str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_:[]".contains(&b))
    };
    let is_origin = |url: Url| match url.scheme() {
        "http" | "https" => url.origin().ascii_serialization() == text,
        "file" => false,
        scheme => text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")).is_some_and(is_plain),
    };
    if Url::parse(text).is_ok_and(is_origin) {
        return Ok(());
    }
    Err(format!("{text:?} is not an origin, such as https://app.example.org"))
}

/// A name of a host, without scheme and port; or `*`.
pub(super) fn host_name(text: &str) -> Result<(), String> {
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    if text == "*" || is_name(text) {
        return Ok(());
    }
    Err(format!(
        "{text:?} is not the name of a host, such as img.example.org, without scheme and port; \"*\" is any name"
    ))
}
