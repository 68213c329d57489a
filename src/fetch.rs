//! A client for URLs that callers name: images to take in, webhooks to call.
//!
//! Invariant: no connection is opened to an address that was not checked first, at the first request and at every hop of
//! a redirect. A name is resolved once per connection, and what was checked is what is dialled.

mod address;
mod check;
mod error;
mod hosts;
mod policy;
mod resolver;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, Url, redirect};

pub use check::check_url;
pub use error::FetchError;
pub use policy::FetchPolicy;
pub use resolver::{Lookup, SystemLookup};

use hosts::Hosts;
use resolver::CheckedResolver;

use crate::tls;

const USER_AGENT: &str = concat!("kandinsky/", env!("CARGO_PKG_VERSION"));
const IMAGES: &str = "image/png, image/jpeg, image/webp, image/*;q=0.1";
const MAX_REDIRECTS: usize = 3;

/// A fetched image, undecoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub bytes: Vec<u8>,
    /// As the server names it, lower case and without parameters; starts with `image/`.
    pub content_type: String,
}

/// Who fetches, and the memory for what is fetched, asked for as it arrives.
pub trait Room: Sync {
    /// Whose fetch it is: owners take turns.
    fn owner(&self) -> Arc<str>;
    /// Whether there is room for `bytes` more, which are then taken.
    fn take(&self, bytes: u64) -> bool;
}

/// As much as there is.
struct Unbounded;

impl Room for Unbounded {
    fn owner(&self) -> Arc<str> {
        Arc::default()
    }

    fn take(&self, _: u64) -> bool {
        true
    }
}

/// A client that holds to a policy. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    policy: FetchPolicy,
    hosts: Arc<Hosts>,
}

impl Fetcher {
    /// With the system's name resolution.
    pub fn new(policy: FetchPolicy) -> Result<Self, FetchError> {
        Self::with_lookup(policy, Arc::new(SystemLookup))
    }

    /// With another name resolution; its answers are checked all the same.
    pub fn with_lookup(policy: FetchPolicy, lookup: Arc<dyn Lookup>) -> Result<Self, FetchError> {
        // A proxy would resolve names itself, out of sight.
        let client = tls::client_builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(policy.timeout)
            .dns_resolver(Arc::new(CheckedResolver::new(policy, lookup)))
            .build()
            .map_err(FetchError::Client)?;
        Ok(Self { client, policy, hosts: Arc::new(Hosts::new()) })
    }

    /// Whether private networks are open to it.
    #[must_use]
    pub fn allows_private(&self) -> bool {
        self.policy.allow_private
    }

    /// Get an image. Follows up to three redirects.
    pub async fn get(&self, url: &str) -> Result<Fetched, FetchError> {
        self.get_within(url, &Unbounded).await
    }

    /// Get an image that takes its memory from `room`.
    pub async fn get_within(&self, url: &str, room: &dyn Room) -> Result<Fetched, FetchError> {
        self.in_time(self.get_image(url, room)).await
    }

    /// The longest time of a fetch.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.policy.timeout
    }

    /// Post a body and give the status that answers it; a redirect is an error, and the answer's body is not read.
    pub async fn post(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<u16, FetchError> {
        let url = check::parse(url, &self.policy)?;
        let mut request = self.client.post(url.clone()).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = self.in_time(async { request.send().await.map_err(|e| FetchError::sending(&url, e)) }).await?;
        let status = response.status();
        if status.is_redirection() { Err(FetchError::Redirected(status.as_u16())) } else { Ok(status.as_u16()) }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
        tokio::time::timeout(self.policy.timeout, work).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn get_image(&self, url: &str, room: &dyn Room) -> Result<Fetched, FetchError> {
        let mut url = check::parse(url, &self.policy)?;
        for _ in 0..=MAX_REDIRECTS {
            let _place = self.hosts.enter(url.host_str().unwrap_or_default(), &room.owner()).await;
            let request = self.client.get(url.clone()).header(ACCEPT, IMAGES);
            let response = request.send().await.map_err(|e| FetchError::sending(&url, e))?;
            if !response.status().is_redirection() {
                return self.read_image(&url, response, room).await;
            }
            url = self.next_hop(&url, &response)?;
        }
        Err(FetchError::TooManyRedirects(MAX_REDIRECTS))
    }

    fn next_hop(&self, from: &Url, response: &Response) -> Result<Url, FetchError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or(FetchError::Redirected(response.status().as_u16()))?;
        let next = from.join(location).map_err(|error| FetchError::Url(error.to_string()))?;
        check::parse(next.as_str(), &self.policy)
    }

    async fn read_image(&self, url: &Url, mut response: Response, room: &dyn Room) -> Result<Fetched, FetchError> {
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let content_type = media_type(&response);
        if !content_type.starts_with("image/") {
            return Err(FetchError::ContentType(content_type));
        }
        let limit = self.policy.max_bytes;
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge(limit));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| FetchError::sending(url, error))? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(FetchError::TooLarge(limit));
            }
            if !room.take(chunk.len() as u64) {
                return Err(FetchError::NoRoom);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Fetched { bytes, content_type })
    }
}

fn media_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
