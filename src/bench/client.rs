//! One request over HTTP, and how it ended.
//!
//! Invariant: a response counts as done only if it has images; a status of 429 or 503 is a rejection, all else a failure.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::BenchError;
use super::options::Options;
use super::record::Ending;
use super::workload::Request;
use crate::retry::parse_retry_after;
use crate::tls;

/// Pause after a rejection without `Retry-After`.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// Attempts of a warm-up request after the first one.
const PATIENCE: usize = 20;
/// Characters of an error's body that are shown.
const SHOWN: usize = 200;

/// A client of one server.
#[derive(Debug)]
pub(super) struct BenchClient {
    http: reqwest::Client,
    base: Url,
    longest_pause: Duration,
    /// The model's name, from the first response.
    model: OnceLock<String>,
}

/// What is read of a response.
#[derive(Deserialize)]
struct GenerationResponse {
    model: Option<String>,
    images: Vec<IgnoredAny>,
}

impl BenchClient {
    pub(super) fn new(options: &Options) -> Result<Self, BenchError> {
        let base = Url::parse(&options.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| BenchError::Url(options.url.clone()))?;
        let failed = |error: &dyn std::error::Error| BenchError::Client(error.to_string());
        let mut headers = HeaderMap::new();
        if let Some(key) = &options.key {
            let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|error| failed(&error))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = tls::client_builder()
            .no_proxy()
            .default_headers(headers)
            .timeout(options.timeout)
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self { http, base, longest_pause: options.longest_pause, model: OnceLock::new() })
    }

    pub(super) fn model(&self) -> Option<String> {
        self.model.get().cloned()
    }

    /// Send a request and wait for its end.
    pub(super) async fn send(&self, request: &Request) -> Ending {
        match self.try_send(request).await {
            Ok(ending) => ending,
            Err(error) if error.is_timeout() => Ending::Failed("timeout".to_owned()),
            Err(error) if error.is_connect() => Ending::Failed("no connection".to_owned()),
            Err(error) => Ending::Failed(format!("the connection failed: {}", error.without_url())),
        }
    }

    async fn try_send(&self, request: &Request) -> reqwest::Result<Ending> {
        let url = self.url(&format!("v1/{}", request.mode.name()));
        let post = self.http.post(url).header(CONTENT_TYPE, "application/json").body(request.body.clone());
        let response = post.send().await?;
        let (status, pause) = (response.status(), requested_pause(response.headers()));
        let body = response.bytes().await?;
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return Ok(Ending::Rejected { retry_after: pause });
        }
        if status != StatusCode::OK {
            let said: String = String::from_utf8_lossy(&body).chars().take(SHOWN).collect();
            return Ok(Ending::Failed(format!("{status}: {said}")));
        }
        Ok(match serde_json::from_slice::<GenerationResponse>(&body) {
            Ok(answer) if !answer.images.is_empty() => {
                if let Some(model) = answer.model {
                    self.model.get_or_init(|| model);
                }
                Ending::Done { images: answer.images.len() as u64 }
            }
            _ => Ending::Failed("a response without images".to_owned()),
        })
    }

    /// Send a request, again after each rejection.
    pub(super) async fn send_patiently(&self, request: &Request) -> Ending {
        let mut ending = self.send(request).await;
        for _ in 0..PATIENCE {
            let Ending::Rejected { retry_after } = ending else { break };
            tokio::time::sleep(self.pause(retry_after)).await;
            ending = self.send(request).await;
        }
        ending
    }

    /// How long to wait after a rejection.
    pub(super) fn pause(&self, retry_after: Option<Duration>) -> Duration {
        retry_after.unwrap_or(DEFAULT_PAUSE).min(self.longest_pause)
    }

    /// The server's metrics in Prometheus's text format, or why there are none.
    pub(super) async fn metrics(&self) -> Result<String, String> {
        let response = self.http.get(self.url("metrics")).send().await.map_err(|e| e.without_url().to_string())?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("the server answers /metrics with {status}"));
        }
        response.text().await.map_err(|error| error.without_url().to_string())
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

fn requested_pause(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
}
