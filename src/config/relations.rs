//! What several settings must be together. (`rules.rs` has what each must be alone.)

use super::error::Violation;
use super::layers::Layers;
use super::listen::ListenAddress;
use super::{readers, rules};
use crate::domain::Script;

/// Settings that must be set together.
const PAIRS: [[&str; 2]; 2] =
    [["pictures.access_key_id", "pictures.secret_access_key"], ["marking.c2pa_certificates", "marking.c2pa_key"]];

/// Check every value by its rule, and all of them together.
pub(super) fn check(layers: &Layers, violations: &mut Vec<Violation>) {
    let values = Values(layers);
    let mut found = Vec::new();
    for setting in layers.settings() {
        let key = setting.key();
        if let Some(Err(message)) = layers.value(&key).map(|value| setting.rule.check(value)) {
            found.push((key, message));
        }
    }
    let relations =
        [body_budget, access, moderation_links, remote_moderation, translator, pairs, plain_endpoint, fleet, bot];
    found.extend(relations.iter().flat_map(|relation| relation(values)).map(|(key, why)| (key.to_owned(), why)));
    violations.extend(found.into_iter().map(|(key, message)| {
        let source = layers.source(&key);
        Violation { key, message, source }
    }));
}

/// The merged values, by key.
#[derive(Clone, Copy)]
struct Values<'a>(&'a Layers);

impl Values<'_> {
    fn text(self, key: &str) -> String {
        self.0.value(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    }

    fn list(self, key: &str) -> Vec<String> {
        self.0.value(key).map(readers::items).unwrap_or_default()
    }

    fn flag(self, key: &str) -> bool {
        self.0.value(key).and_then(toml::Value::as_bool).unwrap_or_default()
    }

    fn number(self, key: &str) -> i64 {
        self.0.value(key).and_then(toml::Value::as_integer).unwrap_or_default()
    }
}

/// Keys with what is wrong about them.
type Found = Vec<(&'static str, String)>;

fn body_budget(values: Values<'_>) -> Found {
    let (all, one) = ("server.max_body_bytes_in_flight", "server.max_body_bytes");
    let is_set = values.number(all) != 0;
    let is_less = values.number(all) < values.number(one);
    if is_set && is_less { vec![(all, format!("must be at least {one}, or 0"))] } else { Vec::new() }
}

/// Whether other machines can reach the server without a key, and whether the operator wants that.
fn access(values: Values<'_>) -> Found {
    let listen = values.text("server.listen");
    let is_open = listen.parse().is_ok_and(|address: ListenAddress| !address.is_loopback());
    let anonymous = values.flag("auth.allow_anonymous");
    match values.text("auth.required").as_str() {
        "always" if anonymous => vec![("auth.allow_anonymous", "contradicts auth.required = \"always\"".to_owned())],
        "never" if is_open && !anonymous => vec![(
            "auth.required",
            format!(
                "is \"never\", and other machines can reach {listen}; say --allow-anonymous (auth.allow_anonymous = true) if \
                 all are to use it"
            ),
        )],
        _ => Vec::new(),
    }
}

/// What the parts of the moderation chains need.
fn moderation_links(values: Values<'_>) -> Found {
    let is_off = values.text("moderation.results") == "off";
    let mut found = Found::new();
    for (key, is_used) in [("moderation.chain", true), ("moderation.results_chain", !is_off)] {
        let chain = values.list(key);
        for (link, needed) in [("classifier", "moderation.concepts"), ("remote", "moderation.remote_url")] {
            if is_used && chain.iter().any(|name| name == link) && values.text(needed).is_empty() {
                found.push((needed, format!("must be set if {key} has \"{link}\"")));
            }
        }
    }
    if !is_off && values.list("moderation.results_chain").is_empty() {
        found.push(("moderation.results_chain", "must be set unless moderation.results is \"off\"".to_owned()));
    }
    found
}

fn remote_moderation(values: Values<'_>) -> Found {
    let key = "moderation.remote_key";
    if values.text("moderation.remote_kind") != "webhook" {
        return Vec::new();
    }
    rules::webhook_secret(&values.text(key)).err().map(|why| (key, why)).into_iter().collect()
}

/// What the translator needs, and what it cannot tell.
fn translator(values: Values<'_>) -> Found {
    let backend = values.text("translate.backend");
    let mut found = Found::new();
    if backend == "libretranslate" && values.text("translate.url").is_empty() {
        found.push(("translate.url", "must be set if translate.backend is \"libretranslate\"".to_owned()));
    }
    let (from, to) = (values.text("translate.from"), values.text("translate.to"));
    if from == to {
        found.push(("translate.from", "must differ from translate.to".to_owned()));
    }
    if backend != "off" && values.text("translate.when") == "auto" && Script::of(&from).is_none() {
        let why = format!(
            "cannot be \"auto\" for {from}, whose letters do not tell it from others: take \"always\" or \"off\""
        );
        found.push(("translate.when", why));
    }
    found
}

fn pairs(values: Values<'_>) -> Found {
    let half = |pair: [&'static str; 2]| {
        let empty: Vec<_> = pair.into_iter().filter(|key| values.text(key).is_empty()).collect();
        (empty.len() == 1).then(|| (empty[0], "is empty, but its other half is not".to_owned()))
    };
    PAIRS.into_iter().filter_map(half).collect()
}

fn plain_endpoint(values: Values<'_>) -> Found {
    let key = "pictures.endpoint";
    if values.text(key).starts_with("http://") && !values.flag("pictures.allow_http") {
        return vec![(key, "is without TLS; set pictures.allow_http if that is meant".to_owned())];
    }
    Vec::new()
}

/// What a fleet needs besides a broker: places that all its processes reach.
fn fleet(values: Values<'_>) -> Found {
    if values.text("broker.url").is_empty() {
        return Vec::new();
    }
    let needed = [
        (
            "store.url",
            "must be the address of a PostgreSQL database if broker.url is set: all processes share the jobs",
        ),
        ("pictures.url", "must be the address of an S3 bucket if broker.url is set: all processes share the images"),
    ];
    let missing = needed.into_iter().filter(|(key, _)| values.text(key).is_empty());
    missing.map(|(key, why)| (key, why.to_owned())).collect()
}

/// What the bot's settings need of each other.
fn bot(values: Values<'_>) -> Found {
    let mut found = Found::new();
    if !values.text("bot.token").is_empty() && !values.text("bot.token_file").is_empty() {
        found.push(("bot.token_file", "must be empty if bot.token is set".to_owned()));
    }
    let url = values.text("bot.webhook_url");
    if !url.is_empty() && values.text("bot.webhook_secret").is_empty() {
        found.push(("bot.webhook_secret", "must be set if bot.webhook_url is".to_owned()));
    }
    found
}
