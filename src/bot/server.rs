//! A client of the server: jobs, their images, styles and choices.
//!
//! Invariant: a request is sent with its idempotency key, so that sending it again gives the same job.

use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use uuid::Uuid;

use super::error::{Problem, ServerError};
use crate::modes::Mode;
use crate::retry::parse_retry_after;
use crate::tls;

/// Without a `Retry-After`.
const PAUSE: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    http: reqwest::Client,
    base: String,
}

/// What is read of a job.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Job {
    pub id: Uuid,
    pub status: String,
    pub mode: String,
    #[serde(default)]
    pub images: Vec<Image>,
    pub error: Option<Problem>,
    #[serde(default)]
    pub warnings: Vec<Warning>,
    pub parameters: Parameters,
}

impl Job {
    pub fn has_ended(&self) -> bool {
        !matches!(self.status.as_str(), "queued" | "running")
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Image {
    pub index: u32,
    pub seed: u64,
    pub width: u32,
    pub height: u32,
    pub moderation: Option<ImageModeration>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ImageModeration {
    #[serde(default)]
    pub blurred: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Warning {
    pub code: String,
    pub cut: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Parameters {
    pub prompt: Option<String>,
    /// What was drawn in place of the prompt, if it was translated.
    pub prompt_translated: Option<String>,
    /// Of a fusion.
    #[serde(default)]
    pub inputs: Vec<Ingredient>,
    pub style: Option<String>,
}

impl Parameters {
    /// What was drawn in place of a prompt.
    pub fn translation(&self) -> Option<&str> {
        let mut all = self.inputs.iter().map(|input| &input.prompt_translated).chain([&self.prompt_translated]);
        all.find_map(Option::as_deref)
    }
}

/// An input of a fusion.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Ingredient {
    pub prompt_translated: Option<String>,
}

/// A style, as the server names it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Style {
    pub name: String,
    pub title: Titles,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Titles {
    pub en: String,
    pub ru: String,
}

#[derive(Debug, Deserialize)]
struct StyleList {
    data: Vec<Style>,
}

/// The choices that requests have.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Capabilities {
    pub modes: Vec<ModeCapability>,
    pub limits: Limits,
    pub sizes: Sizes,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ModeCapability {
    pub mode: String,
    pub available: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Limits {
    pub max_pictures: u32,
    pub max_prompt_chars: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Sizes {
    pub aspect_ratios: Vec<AspectRatio>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct AspectRatio {
    pub name: String,
}

impl Server {
    pub fn new(base: &str, key: Option<&SecretString>) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
            let mut value = value.map_err(|_| "the key has characters that no key has".to_owned())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = tls::client_builder().no_proxy().default_headers(headers).connect_timeout(CONNECT_TIMEOUT);
        let http = client.build().map_err(|error| error.to_string())?;
        Ok(Self { http, base: base.to_owned() })
    }

    /// Ask for images without waiting for them.
    pub async fn submit(&self, mode: Mode, body: &Json, idempotency_key: &str) -> Result<Job, ServerError> {
        let request = self.http.post(self.url(&format!("v1/{}", mode.name()))).json(body);
        let request = request.header("prefer", "respond-async").header("idempotency-key", idempotency_key);
        self.json(request).await
    }

    pub async fn job(&self, id: Uuid) -> Result<Job, ServerError> {
        self.json(self.http.get(self.url(&format!("v1/jobs/{id}")))).await
    }

    /// Cancel a job; its state after that.
    pub async fn cancel(&self, id: Uuid) -> Result<Job, ServerError> {
        self.json(self.http.post(self.url(&format!("v1/jobs/{id}/cancel")))).await
    }

    /// The file of an image; with a width, a smaller copy.
    pub async fn image(&self, id: Uuid, index: u32, width: Option<u32>) -> Result<Vec<u8>, ServerError> {
        let copy = width.map(|width| format!("?width={width}")).unwrap_or_default();
        let url = self.url(&format!("v1/jobs/{id}/images/{index}{copy}"));
        let response = checked(self.http.get(url).timeout(TIMEOUT)).await?;
        Ok(response.bytes().await.map_err(|error| unreachable(&error))?.into())
    }

    pub async fn styles(&self) -> Result<Vec<Style>, ServerError> {
        Ok(self.json::<StyleList>(self.http.get(self.url("v1/styles"))).await?.data)
    }

    pub async fn capabilities(&self) -> Result<Capabilities, ServerError> {
        self.json(self.http.get(self.url("v1/capabilities"))).await
    }

    /// Open the stream of all jobs' events, after the event with this id.
    pub async fn events(&self, after: Option<&str>) -> Result<Response, ServerError> {
        let mut request = self.http.get(self.url("v1/jobs/events")).header("accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        checked(request).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ServerError> {
        let response = checked(request.timeout(TIMEOUT)).await?;
        let bytes = response.bytes().await.map_err(|error| unreachable(&error))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ServerError::Unreachable(format!("an answer that is not understood: {error}")))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

/// The response, if it is a good one.
async fn checked(request: RequestBuilder) -> Result<Response, ServerError> {
    let response = request.send().await.map_err(|error| unreachable(&error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|value| parse_retry_after(value, SystemTime::now())).unwrap_or(PAUSE);
    let body = response.bytes().await.unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    Err(match status.as_u16() {
        429 | 503 => ServerError::Busy { after, why: problem.detail },
        404 | 410 => ServerError::Gone,
        500.. => ServerError::Unreachable(format!("{status}: {}", problem.detail)),
        status => ServerError::Refused { status, problem },
    })
}

fn unreachable(error: &reqwest::Error) -> ServerError {
    let what = match error {
        error if error.is_timeout() => "timeout",
        error if error.is_connect() => "no connection",
        _ => "the connection broke",
    };
    ServerError::Unreachable(what.to_owned())
}
