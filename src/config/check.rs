//! What a value must be beyond its type. All that is wrong is found at once.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;

use base64::Engine as _;
use figment::Figment;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{Violation, layers, values};
use crate::domain::{BackendChoice, DeviceChoice, Dtype};

const KIB: i64 = 1 << 10;
const GIB: i64 = 1 << 30;
const DAY_S: i64 = 86_400;
/// The largest integer of TOML.
const MOST: i64 = i64::MAX;

/// The range of every whole number.
const RANGES: [(&str, RangeInclusive<i64>); 31] = [
    ("server.max_body_bytes", KIB..=4 * GIB),
    ("server.max_body_bytes_in_flight", KIB..=1024 * GIB),
    ("server.max_connections", 1..=1_000_000),
    ("server.header_timeout_s", 1..=3600),
    ("server.body_timeout_s", 1..=3600),
    ("server.drain_grace_s", 0..=DAY_S),
    ("auth.url_ttl_s", 1..=365 * DAY_S),
    ("engine.max_pictures_in_flight", 1..=65_536),
    ("queue.max_jobs", 1..=10_000_000),
    ("queue.max_cost", 0..=MOST),
    ("queue.max_input_bytes", KIB..=1024 * GIB),
    ("queue.most_losses", 1..=1000),
    ("queue.lease_s", 2..=DAY_S),
    ("store.max_connections", 1..=1000),
    ("jobs.ttl_s", 1..=36_500 * DAY_S),
    ("jobs.forget_after_s", 0..=36_500 * DAY_S),
    ("jobs.clean_interval_s", 1..=DAY_S),
    ("webhooks.timeout_s", 1..=3600),
    ("webhooks.max_attempts", 1..=100),
    ("fetch.max_bytes", KIB..=4 * GIB),
    ("fetch.timeout_s", 1..=3600),
    ("moderation.remote_timeout_s", 1..=600),
    ("moderation.remote_retries", 0..=10),
    ("limits.max_side", 1..=65_536),
    ("limits.max_pixels", 1..=GIB),
    ("limits.max_areas", 1..=1024),
    ("limits.max_input_side", 1..=65_536),
    ("limits.max_input_pixels", 1..=4 * GIB),
    // The checkpoints were trained with 1000 steps of noise.
    ("limits.max_steps", 1..=1000),
    ("limits.max_pictures", 1..=1000),
    ("limits.max_prompt_chars", 1..=1_000_000),
];

/// Of signatures, by C2PA's names.
const ALGORITHMS: [&str; 7] = ["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"];

type Rule = fn(&str) -> Result<(), String>;

/// What texts must look like.
const TEXTS: [(&str, Rule); 19] = [
    ("server.listen", listen),
    ("server.public_url", optional_http_url),
    ("server.data", not_empty),
    ("auth.required", keys_required),
    ("auth.url_secret", url_secret),
    ("model.dtype", |text| text.parse::<Dtype>().map(drop)),
    ("model.backend", |text| text.parse::<BackendChoice>().map(drop)),
    ("store.url", store_url),
    ("pictures.url", pictures_url),
    ("pictures.endpoint", optional_http_url),
    ("webhooks.secret", webhook_secret),
    ("moderation.remote_url", optional_http_url),
    ("moderation.remote_kind", |text| one_of(text, &["openai", "webhook"])),
    ("moderation.remote_on_failure", |text| one_of(text, &["refuse", "allow"])),
    ("moderation.results", |text| one_of(text, &["off", "block", "blur"])),
    ("marking.c2pa_algorithm", |text| one_of(text, &ALGORITHMS)),
    ("log.level", log_level),
    ("log.format", log_format),
    ("traces.otlp_endpoint", optional_http_url),
];

/// What is of use together alone.
const HALVES: [[&str; 2]; 2] =
    [["pictures.access_key_id", "pictures.secret_access_key"], ["marking.c2pa_certificates", "marking.c2pa_key"]];

/// Check all values of the merged layers.
pub(super) fn values(figment: &Figment, violations: &mut Vec<Violation>) {
    let mut note = |key: &str, message: String| {
        violations.push(Violation { key: key.to_owned(), message, source: layers::source(figment, key) });
    };
    let number = |key: &str| figment.find_value(key).ok().and_then(|value| value.to_i128());
    let text =
        |key: &str| figment.find_value(key).ok().and_then(figment::value::Value::into_string).unwrap_or_default();

    for (key, range) in &RANGES {
        if let Some(value) = number(key)
            && !(i128::from(*range.start())..=i128::from(*range.end())).contains(&value)
        {
            let most = if *range.end() == MOST { "more".to_owned() } else { range.end().to_string() };
            note(key, format!("must be {} to {most}, not {value}", range.start()));
        }
    }
    for (key, rule) in TEXTS {
        if let Err(message) = rule(&text(key)) {
            note(key, message);
        }
    }
    for key in [
        "model.path",
        "traces.service_name",
        "pictures.region",
        "moderation.lexicon",
        "moderation.concepts",
        "moderation.policies",
        "marking.c2pa_certificates",
        "marking.c2pa_key",
        "styles.file",
    ] {
        if text(key).contains('\0') {
            note(key, "must not contain NUL".to_owned());
        }
    }
    let devices = match figment.extract_inner::<Vec<String>>("model.device") {
        Ok(names) => names,
        Err(_) => values::device_names(&text("model.device")),
    };
    if devices.is_empty() {
        note("model.device", "must name at least one device".to_owned());
    }
    if let Some(message) = devices.iter().find_map(|name| name.parse::<DeviceChoice>().err()) {
        note("model.device", message);
    }
    for origin in figment.extract_inner::<Vec<String>>("server.cors_origins").unwrap_or_default() {
        if !is_origin(&origin) {
            note("server.cors_origins", format!("{origin:?} is no origin, such as https://app.example.org"));
        }
    }
    let off = text("moderation.results") == "off";
    for (key, links, asked) in [
        ("moderation.chain", &["lexicon", "classifier", "remote"][..], true),
        ("moderation.results_chain", &["classifier", "remote"], !off),
    ] {
        let chain = figment.extract_inner::<Vec<String>>(key).unwrap_or_default();
        for (i, link) in chain.iter().enumerate() {
            if let Err(message) = one_of(link, links) {
                note(key, format!("{message}, not {link:?}"));
            } else if chain[..i].contains(link) {
                note(key, format!("names {link} twice"));
            }
        }
        for (link, needed) in [("classifier", "moderation.concepts"), ("remote", "moderation.remote_url")] {
            if asked && chain.iter().any(|name| name == link) && text(needed).is_empty() {
                note(needed, format!("must be given where {key} has \"{link}\""));
            }
        }
        if chain.is_empty() && !off && key == "moderation.results_chain" {
            note(key, "must name somebody where moderation.results is not \"off\"".to_owned());
        }
    }
    if text("moderation.remote_kind") == "webhook"
        && let Err(message) = webhook_secret(&text("moderation.remote_key"))
    {
        note("moderation.remote_key", message);
    }
    if let Ok(threshold) = figment.extract_inner::<f64>("moderation.threshold")
        && !(0.0..=1.0).contains(&threshold)
    {
        note("moderation.threshold", format!("must be 0 to 1, not {threshold}"));
    }
    if let Ok(ratio) = figment.extract_inner::<f64>("traces.sample_ratio")
        && !(0.0..=1.0).contains(&ratio)
    {
        note("traces.sample_ratio", format!("must be 0 to 1, not {ratio}"));
    }
    if number("server.max_body_bytes_in_flight") < number("server.max_body_bytes") {
        note("server.max_body_bytes_in_flight", "must be at least server.max_body_bytes".to_owned());
    }
    let anonymous = figment.extract_inner::<bool>("auth.allow_anonymous").unwrap_or_default();
    let open = text("server.listen").parse().is_ok_and(|address| !super::is_loopback(address));
    match text("auth.required").as_str() {
        "always" if anonymous => note("auth.allow_anonymous", "contradicts auth.required = \"always\"".to_owned()),
        "never" if open && !anonymous => note(
            "auth.required",
            format!(
                "is \"never\", and strangers may reach {}; say --allow-anonymous (auth.allow_anonymous = true) if everybody \
                 is to use it",
                text("server.listen")
            ),
        ),
        _ => {}
    }
    for halves in HALVES {
        let missing: Vec<&str> = halves.into_iter().filter(|key| text(key).is_empty()).collect();
        if let [missing] = missing.as_slice() {
            note(missing, "is empty, but its other half is not".to_owned());
        }
    }
    if text("pictures.endpoint").starts_with("http://")
        && figment.extract_inner::<bool>("pictures.allow_http").is_ok_and(|allowed| !allowed)
    {
        note("pictures.endpoint", "is without TLS; set pictures.allow_http if that is meant".to_owned());
    }
}

fn not_empty(text: &str) -> Result<(), String> {
    if Path::new(text).as_os_str().is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) }
}

fn listen(text: &str) -> Result<(), String> {
    match text.parse::<SocketAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{text:?} is no address with a port, such as 127.0.0.1:8080")),
    }
}

fn optional_http_url(text: &str) -> Result<(), String> {
    let good = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    if text.is_empty() || Url::parse(text).is_ok_and(|url| good(&url)) {
        return Ok(());
    }
    Err("must be empty or an address such as https://host.example.org".to_owned())
}

fn store_url(text: &str) -> Result<(), String> {
    // The value is a secret and stays out of the message.
    let good = |url: &Url| matches!(url.scheme(), "postgres" | "postgresql");
    if text.is_empty() || Url::parse(text).is_ok_and(|url| good(&url)) {
        return Ok(());
    }
    Err("must be empty or an address such as postgres://user:password@host/name".to_owned())
}

fn pictures_url(text: &str) -> Result<(), String> {
    if text.is_empty() || Url::parse(text).is_ok_and(|url| url.scheme() == "s3" && url.has_host()) {
        return Ok(());
    }
    Err("must be empty or an address such as s3://bucket/prefix".to_owned())
}

fn webhook_secret(text: &str) -> Result<(), String> {
    let bytes = |base64: &str| base64::engine::general_purpose::STANDARD.decode(base64).ok();
    if text.is_empty() || text.strip_prefix("whsec_").and_then(bytes).is_some_and(|key| (24..=64).contains(&key.len()))
    {
        return Ok(());
    }
    Err("must be empty or whsec_ and base64 of 24 to 64 bytes".to_owned())
}

fn one_of(text: &str, names: &[&str]) -> Result<(), String> {
    if names.contains(&text) { Ok(()) } else { Err(format!("must be {}", names.join(" or "))) }
}

fn keys_required(text: &str) -> Result<(), String> {
    one_of(text, &["auto", "always", "never"])
}

fn url_secret(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() >= 32 {
        return Ok(());
    }
    Err("must be empty or at least 32 characters".to_owned())
}

fn log_level(text: &str) -> Result<(), String> {
    let levels = ["trace", "debug", "info", "warn", "error", "off"];
    // A lone word that is no level would be taken for a target, and log nothing else.
    if text.chars().all(char::is_alphanumeric) && !levels.contains(&text.to_lowercase().as_str()) {
        return Err(format!("must be one of {}, or a filter", levels.join(", ")));
    }
    EnvFilter::try_new(text).map(drop).map_err(|error| error.to_string())
}

fn log_format(text: &str) -> Result<(), String> {
    one_of(text, &["text", "json"])
}

fn is_origin(text: &str) -> bool {
    let ascii_origin =
        |url: Url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text;
    text == "*" || Url::parse(text).is_ok_and(ascii_origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_range() {
        let defaults = layers::parse(layers::DEFAULTS).unwrap();
        for key in layers::keys(&defaults) {
            let (section, name) = key.split_once('.').unwrap();
            let value = &defaults[section].as_dict().unwrap()[name];
            let is_number = value.to_i128().is_some();
            assert_eq!(RANGES.iter().any(|(known, _)| *known == key), is_number, "{key}");
        }
    }

    #[test]
    fn every_rule_is_about_a_key() {
        let keys = layers::keys(&layers::parse(layers::DEFAULTS).unwrap());
        let ruled = RANGES.iter().map(|(key, _)| *key).chain(TEXTS.iter().map(|(key, _)| *key));
        for key in ruled {
            assert!(keys.contains(key), "{key}");
        }
    }
}
