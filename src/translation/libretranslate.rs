//! LibreTranslate, a service of the operator's own or another's, over HTTP: `POST /translate`.
//!
//! Invariant: the address is the operator's choice, so private networks are allowed; redirects are not followed, answers are
//! bounded, and neither key nor address gets into messages.

use std::time::Duration;

use async_trait::async_trait;
use backon::Retryable as _;
use reqwest::Client;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::translator::{LanguagePair, TranslationError, Translator};
use crate::retry::RetryPolicy;
use crate::tls;

/// Longest answer, bytes.
const LONGEST: usize = 1 << 20;
/// Of a message of the service's, as it is repeated in the log: characters.
const MAX_CHARS: usize = 100;

/// How the service is asked.
#[derive(Debug, Clone)]
pub struct LibreTranslateConfig {
    /// Without `/translate`.
    pub url: String,
    /// Empty: none.
    pub key: SecretString,
    /// Of one attempt.
    pub timeout: Duration,
    pub retry: RetryPolicy,
}

/// The service.
pub struct LibreTranslate {
    config: LibreTranslateConfig,
    languages: LanguagePair,
    client: Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    translated_text: Texts,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    Many(Vec<String>),
    One(String),
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// How an attempt failed.
enum Failure {
    /// A retry may succeed.
    Transient(String),
    /// The service rejects the request itself.
    Permanent(String),
}

impl LibreTranslate {
    /// The service at this address. The error says why there can be no client.
    pub fn new(config: LibreTranslateConfig, languages: LanguagePair) -> Result<Self, String> {
        let client = tls::client_builder()
            .timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("kandinsky/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { config, languages, client: client.map_err(|error| error.to_string())? })
    }

    async fn ask(&self, texts: &[String]) -> Result<Vec<String>, Failure> {
        let LanguagePair { from, to } = &self.languages;
        let mut body = json!({"q": texts, "source": from, "target": to, "format": "text"});
        if !self.config.key.expose_secret().is_empty() {
            body["api_key"] = json!(self.config.key.expose_secret());
        }
        let url = format!("{}/translate", self.config.url.trim_end_matches('/'));
        let sent = self.client.post(url).json(&body).send().await;
        let response = sent.map_err(|error| Failure::Transient(error.without_url().to_string()))?;
        let status = response.status().as_u16();
        let body = tls::read_bounded(response, LONGEST).await.map_err(Failure::Transient)?;
        match status {
            200 => {}
            408 | 425 | 429 | 500.. => return Err(Failure::Transient(refusal(status, &body))),
            _ => return Err(Failure::Permanent(refusal(status, &body))),
        }
        match serde_json::from_slice(&body) {
            Ok(Answer { translated_text: Texts::Many(translations) }) => Ok(translations),
            Ok(Answer { translated_text: Texts::One(translation) }) => Ok(vec![translation]),
            Err(error) => Err(Failure::Permanent(format!("its answer is not readable: {error}"))),
        }
    }
}

/// What the service says of a request that it does not do.
fn refusal(status: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { error }) => {
            let said: String = error.chars().take(MAX_CHARS).collect();
            format!("it answered {status}: {said}")
        }
        Err(_) => format!("it answered {status}"),
    }
}

#[async_trait]
impl Translator for LibreTranslate {
    fn name(&self) -> &'static str {
        "libretranslate"
    }

    async fn translate(&self, texts: Vec<String>) -> Result<Vec<String>, TranslationError> {
        let ask = || self.ask(&texts);
        let asking = ask.retry(self.config.retry.backoff()).when(|failure| matches!(failure, Failure::Transient(_)));
        asking.await.map_err(|(Failure::Transient(why) | Failure::Permanent(why))| TranslationError::Failed(why))
    }
}
