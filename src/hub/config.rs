//! The hub client's settings, under the names that python's `huggingface_hub` gave them.
//!
//! Invariant: [`HubConfig::from_env`] is the only place that reads the environment (a proxy's settings excepted, which
//! reqwest reads when `system_proxy` says so), and the token never shows in `Debug`.

use std::io;
use std::path::PathBuf;

use reqwest::Url;
use secrecy::SecretString;

use super::error::HubError;
use super::retry::HubRetry;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// Files fetched side by side. The CDN gives one connection less than most lines can take; more than a few would only
/// make a broken download leave more partial files.
const PARALLEL: usize = 3;

/// Everything the client needs to know.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// `HF_ENDPOINT`: the hub, or a mirror of it.
    pub endpoint: Url,
    /// `HF_HUB_CACHE`, or `hub` in `HF_HOME`.
    pub cache: PathBuf,
    /// `HF_TOKEN`, or the file `token` in `HF_HOME`. Sent to the endpoint only.
    pub token: Option<SecretString>,
    /// `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`: never use the network.
    pub offline: bool,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` count.
    pub system_proxy: bool,
    /// How to treat failures that may pass.
    pub retry: HubRetry,
    /// Files fetched at the same time.
    pub parallel: usize,
}

impl HubConfig {
    /// A configuration without token and proxy.
    ///
    /// # Errors
    /// When the endpoint is no plain `http` or `https` URL.
    pub fn new(endpoint: &str, cache: impl Into<PathBuf>) -> Result<Self, HubError> {
        Ok(Self {
            endpoint: parse_endpoint(endpoint)?,
            cache: cache.into(),
            token: None,
            offline: false,
            system_proxy: false,
            retry: HubRetry::default(),
            parallel: PARALLEL,
        })
    }

    /// The configuration of the user's shell.
    ///
    /// # Errors
    /// When `HF_ENDPOINT` is no URL, the token file exists and cannot be read, or there is no home directory to hold a
    /// cache.
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_vars(&|name| std::env::var(name).ok())
    }

    fn from_vars(var: &dyn Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let set = |name| var(name).filter(|value| !value.is_empty());
        let user_home = set("HOME").or_else(|| set("USERPROFILE")).map(PathBuf::from);
        let path = |value: String| match (&user_home, value.strip_prefix("~/")) {
            (Some(home), Some(rest)) => home.join(rest),
            _ => PathBuf::from(value),
        };

        let hf_home = set("HF_HOME")
            .map(path)
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| path(dir).join("huggingface")))
            .or_else(|| user_home.as_ref().map(|home| home.join(".cache/huggingface")));
        let cache = set("HF_HUB_CACHE")
            .or_else(|| set("HUGGINGFACE_HUB_CACHE"))
            .map(path)
            .or_else(|| hf_home.as_ref().map(|home| home.join("hub")))
            .ok_or(HubError::InvalidSetting {
                setting: "HF_HOME",
                reason: "is not set, and there is no home directory to put the cache into".to_owned(),
            })?;

        let mut token = set("HF_TOKEN").or_else(|| set("HUGGING_FACE_HUB_TOKEN"));
        if token.is_none() {
            let file = set("HF_TOKEN_PATH").map(path).or_else(|| hf_home.map(|home| home.join("token")));
            token = file.map_or(Ok(None), read_token)?;
        }

        let endpoint = set("HF_ENDPOINT");
        let mut config = Self::new(endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT), cache)?;
        config.token = token.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).map(SecretString::from);
        config.offline = set("HF_HUB_OFFLINE").or_else(|| set("TRANSFORMERS_OFFLINE")).is_some_and(|v| is_true(&v));
        config.system_proxy = true;
        Ok(config)
    }
}

fn read_token(file: PathBuf) -> Result<Option<String>, HubError> {
    match std::fs::read_to_string(&file) {
        Ok(token) => Ok(Some(token)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HubError::Io { action: "read the token file", path: file, source }),
    }
}

fn parse_endpoint(text: &str) -> Result<Url, HubError> {
    let wrong = |reason: &str| HubError::InvalidSetting { setting: "HF_ENDPOINT", reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not hold a user name or password; use HF_TOKEN"));
    }
    Ok(url)
}

/// As `huggingface_hub` reads a flag.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn config(vars: &[(&str, &str)]) -> Result<HubConfig, HubError> {
        HubConfig::from_vars(&|name| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_cache_is_where_python_puts_it() {
        let cache = |vars: &[(&str, &str)]| config(vars).unwrap().cache;
        let home = ("HOME", "/home/u");
        assert_eq!(cache(&[home]), PathBuf::from("/home/u/.cache/huggingface/hub"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x")]), PathBuf::from("/x/huggingface/hub"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")]), PathBuf::from("/home/u/hf/hub"));
        assert_eq!(cache(&[home, ("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]), PathBuf::from("/c"));
        assert!(matches!(config(&[]), Err(HubError::InvalidSetting { setting: "HF_HOME", .. })));
    }

    #[test]
    fn the_token_comes_from_the_environment_or_the_file_and_stays_out_of_debug() {
        let home = tempfile::tempdir().unwrap();
        let hf_home = ("HF_HOME", home.path().to_str().unwrap());
        assert!(config(&[hf_home]).unwrap().token.is_none());
        std::fs::write(home.path().join("token"), "hf_from_file\n").unwrap();
        let from_file = config(&[hf_home]).unwrap();
        assert_eq!(from_file.token.as_ref().unwrap().expose_secret(), "hf_from_file");
        assert!(!format!("{from_file:?}").contains("hf_from_file"));
        let from_env = config(&[hf_home, ("HF_TOKEN", " hf_from_env ")]).unwrap();
        assert_eq!(from_env.token.unwrap().expose_secret(), "hf_from_env");
    }

    #[test]
    fn either_offline_flag_counts() {
        let offline = |name, value| config(&[("HOME", "/h"), (name, value)]).unwrap().offline;
        assert!(offline("HF_HUB_OFFLINE", "1"));
        assert!(offline("TRANSFORMERS_OFFLINE", "true"));
        assert!(!offline("HF_HUB_OFFLINE", "0"));
        assert!(!offline("HF_HUB_OFFLINE", ""));
    }

    #[test]
    fn an_endpoint_must_be_a_plain_web_address() {
        for bad in ["hf-mirror.com", "ftp://x", "https://user:hf_secret@mirror"] {
            let error = config(&[("HOME", "/h"), ("HF_ENDPOINT", bad)]).unwrap_err().to_string();
            assert!(error.contains("HF_ENDPOINT") && !error.contains("hf_secret"), "{error}");
        }
    }
}
