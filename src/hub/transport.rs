//! HTTP to the hub and the CDN behind it: URLs, redirects, and what a bad status means.
//!
//! Invariant: the token is put on requests to the endpoint's own origin only, at every hop of a redirect anew.

use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderValue, LOCATION, RANGE};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};
use secrecy::ExposeSecret;

use super::config::HubConfig;
use super::error::HubError;
use super::repo_id::RepoId;
use super::retry::{AttemptError, HubRetry, requested_pause};
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence on a connection. There is no limit on a whole download.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 10;
/// Header in which the hub says more than a status can.
const ERROR_CODE: &str = "x-error-code";
const USER_AGENT: &str = concat!("kandinsky/", env!("CARGO_PKG_VERSION"));

/// An HTTP client for one hub.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    endpoint: Url,
    token: Option<HeaderValue>,
    pub(super) retry: HubRetry,
}

/// What a request is for: what an error should name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) repo: &'a RepoId,
    /// In words.
    pub(super) what: &'a str,
}

impl Transport {
    pub(super) fn new(config: &HubConfig) -> Result<Self, HubError> {
        let mut builder = tls::client_builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(redirect::Policy::none());
        if !config.system_proxy {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(HubError::Client)?;
        let token = config.token.as_ref().map(|token| bearer(token.expose_secret())).transpose()?;
        Ok(Self { client, endpoint: config.endpoint.clone(), token, retry: config.retry })
    }

    /// Where the hub describes the newest commit of `main`, with sizes and checksums of all files.
    pub(super) fn listing_url(&self, repo: &RepoId) -> Url {
        let mut url = self.url(["api", "models"].into_iter().chain(repo.parts()).chain(["revision", "main"]));
        url.set_query(Some("blobs=true"));
        url
    }

    /// Where a file of a commit is.
    pub(super) fn file_url(&self, repo: &RepoId, commit: &str, path: &str) -> Url {
        self.url(repo.parts().chain(["resolve", commit]).chain(path.split('/')))
    }

    fn url<'a>(&self, segments: impl Iterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        // Every http(s) URL has a path, so this is always taken.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Gets the bytes from `from` on, wherever redirects lead.
    pub(super) async fn get(&self, url: Url, from: u64, target: Target<'_>) -> Result<Response, AttemptError> {
        self.send(&Method::GET, url, from, true, target).await
    }

    /// Asks the hub itself about a file: the answer is the hub's last one, even if that is a redirect to a CDN.
    pub(super) async fn head(&self, url: Url, target: Target<'_>) -> Result<Response, AttemptError> {
        self.send(&Method::HEAD, url, 0, false, target).await
    }

    async fn send(
        &self,
        method: &Method,
        mut url: Url,
        from: u64,
        leave: bool,
        target: Target<'_>,
    ) -> Result<Response, AttemptError> {
        for _ in 0..=MAX_REDIRECTS {
            let on_hub = url.origin() == self.endpoint.origin();
            let mut request = self.client.request(method.clone(), url.clone()).header(ACCEPT_ENCODING, "identity");
            if on_hub && let Some(token) = &self.token {
                request = request.header(AUTHORIZATION, token.clone());
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let response = request.send().await.map_err(|error| AttemptError::network(target.what, error))?;
            let Some(next) = redirected(&response) else {
                return if response.status().is_success() || response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                    Ok(response)
                } else {
                    Err(self.failure(&response, on_hub, target))
                };
            };
            if !leave && next.origin() != self.endpoint.origin() {
                return Ok(response);
            }
            url = next;
        }
        Err(target.answered("too many redirects".to_owned()).into())
    }

    fn failure(&self, response: &Response, on_hub: bool, target: Target<'_>) -> AttemptError {
        let status = response.status();
        let code = response.headers().get(ERROR_CODE).and_then(|code| code.to_str().ok()).unwrap_or_default();
        let repo = target.repo.to_string();
        let hub = self.endpoint.origin().ascii_serialization();
        match status {
            _ if on_hub && code == "RepoNotFound" => HubError::NotFound { repo, hub }.into(),
            StatusCode::NOT_FOUND if on_hub && code != "EntryNotFound" => HubError::NotFound { repo, hub }.into(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if on_hub => {
                HubError::Access { repo, hub, status: status.as_u16(), with_token: self.token.is_some() }.into()
            }
            // A CDN refuses when its signed link has expired; the next try gets a fresh one.
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS => passing(response, target),
            _ if status.is_server_error() => passing(response, target),
            _ => target.answered(format!("the server answered {status}")).into(),
        }
    }
}

impl Target<'_> {
    fn answered(self, reason: String) -> HubError {
        HubError::Answer { what: self.what.to_owned(), reason }
    }
}

fn passing(response: &Response, target: Target<'_>) -> AttemptError {
    AttemptError::Passing {
        error: target.answered(format!("the server answered {}", response.status())),
        wait: requested_pause(response.headers(), SystemTime::now()),
    }
}

fn redirected(response: &Response) -> Option<Url> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    response.url().join(location).ok()
}

fn bearer(token: &str) -> Result<HeaderValue, HubError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| HubError::InvalidSetting {
        setting: "HF_TOKEN",
        reason: "holds characters that no token has".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
