//! Whether the server wants keys, and the way to them for the command line.
//!
//! Invariant: on an address that others reach, requests need a key or the operator's consent to do without; a server that
//! would reject every request because no key exists says so instead of starting.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;

use super::{secret, stores};
use crate::auth::{Auth, GivenKeys, Keyring, UrlSigner, read_given_keys};
use crate::config::{Config, ConfigError, KeysRequired, StoreLocation, Violation};
use crate::records::{ApiKey, KeyDigest};
use crate::store::KeyStore;

/// The keys in the database that the configuration names; a server may be using it.
pub async fn open(config: &Config) -> anyhow::Result<Arc<dyn KeyStore>> {
    stores::open_keys(config).await
}

/// The keys of `auth.keys_file`.
///
/// # Errors
/// A file that cannot be read, or a line of it that is no key.
fn given(config: &Config) -> Result<Vec<(ApiKey, KeyDigest)>, Violation> {
    let Some(file) = &config.auth.keys_file else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    text.and_then(|text| read_given_keys(&text)).map_err(|message| Violation {
        key: "auth.keys_file".to_owned(),
        message: format!("{}: {message}", file.display()),
        source: None,
    })
}

/// The same without their digests.
///
/// # Errors
/// What is wrong with the file.
pub fn given_keys(config: &Config) -> Result<Vec<ApiKey>, String> {
    let keys = given(config).map_err(|violation| format!("{}: {}", violation.key, violation.message))?;
    Ok(keys.into_iter().map(|(key, _)| key).collect())
}

/// What is wrong with the file of keys.
pub(super) fn wrong_file(config: &Config) -> Option<Violation> {
    given(config).err()
}

/// That database, for people.
#[must_use]
pub fn place(config: &Config) -> String {
    match config.store_location() {
        StoreLocation::Sqlite(file) => file.display().to_string(),
        StoreLocation::Postgres(_) => "the database of store.url".to_owned(),
    }
}

/// What is wrong if keys are needed and the database does not even exist. (Opening one that exists might change it.)
pub(super) fn missing(config: &Config) -> Option<Violation> {
    let is_needed = config.needs_keys() && config.auth.required == KeysRequired::Auto;
    let StoreLocation::Sqlite(file) = config.store_location() else { return None };
    let has_given = given(config).is_ok_and(|keys| !keys.is_empty());
    (is_needed && !has_given && !file.exists()).then(|| no_key(config))
}

fn no_key(config: &Config) -> Violation {
    let message = format!(
        "other machines can reach {}, and there is no key yet; make one with `kandinsky keys create` (with the same \
         configuration), name a file of keys (auth.keys_file), or say --allow-anonymous (auth.allow_anonymous = true) if all are to use the server",
        config.server.listen
    );
    Violation { key: "auth.required".to_owned(), message, source: None }
}

/// What the server needs to check keys; `None` if requests need none.
pub(super) async fn auth(config: &Config, keys: Arc<dyn KeyStore>) -> anyhow::Result<Option<Auth>> {
    let listen = &config.server.listen;
    if !config.needs_keys() {
        if config.auth.allow_anonymous {
            tracing::warn!(server.address = %listen, "keys are off: anyone who can reach this address can use the server");
        } else {
            tracing::info!(server.address = %listen, "keys are off: only this machine can reach this address");
        }
        if config.server.cors_origins.iter().any(|origin| origin == "*") {
            tracing::warn!(
                "server.cors_origins is \"*\" and keys are off: any page that is open in a browser on this machine can use \
                 the server"
            );
        }
        if config.server.allowed_hosts.iter().any(|host| host == "*") {
            tracing::warn!(
                "server.allowed_hosts is \"*\" and keys are off: a web site whose name leads here (DNS rebinding) can use \
                 the server"
            );
        }
        return Ok(None);
    }
    let given = given(config).map_err(|violation| ConfigError::Invalid(vec![violation]))?;
    let keys: Arc<dyn KeyStore> = Arc::new(GivenKeys::new(keys, given));
    let now = Timestamp::now().as_millisecond();
    let good = keys.list_keys().await?.iter().filter(|key| key.is_good(now)).count();
    if good == 0 && config.auth.required == KeysRequired::Auto {
        return Err(ConfigError::Invalid(vec![no_key(config)]).into());
    }
    if good == 0 {
        tracing::warn!("keys are on, and there is none yet: make one with `kandinsky keys create`");
    }
    tracing::info!(keys.good = good, "keys are on");
    let secret = secret::addresses(&config.auth.url_secret, &config.server.data)?;
    let urls = UrlSigner::new(&secret, Duration::from_secs(config.auth.url_ttl_s))
        .map_err(|error| anyhow::anyhow!(error))
        .context("auth.url_secret")?;
    Ok(Some(Auth { keys: Keyring::new(keys), urls }))
}
