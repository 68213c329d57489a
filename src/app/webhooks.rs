//! Webhooks, as configured: where they may go, and what carries them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;

use super::secret;
use crate::config::Config;
use crate::fetch::{FetchPolicy, Fetcher};
use crate::jobs::{WebhookConfig, WebhookTransport};

/// Which URLs webhooks may be sent to.
pub(super) fn policy(config: &Config) -> FetchPolicy {
    FetchPolicy {
        allow_private: config.webhooks.allow_private,
        allow_http: config.webhooks.allow_private,
        timeout: Duration::from_secs(config.webhooks.timeout_s),
        max_bytes: 0,
    }
}

/// Carries webhooks with the client that stays out of private networks.
struct WebhookFetcher(Fetcher);

#[async_trait]
impl WebhookTransport for WebhookFetcher {
    async fn post(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<u16, String> {
        self.0.post(url, headers, body).await.map_err(|error| error.to_string())
    }
}

/// The configuration and the transport of webhooks; `None` if they are off.
pub(super) fn webhooks(config: &Config) -> anyhow::Result<Option<(WebhookConfig, Arc<dyn WebhookTransport>)>> {
    if !config.webhooks.enabled {
        return Ok(None);
    }
    let secret = secret::webhooks(&config.webhooks.secret, &config.server.data)?;
    let transport: Arc<dyn WebhookTransport> = Arc::new(WebhookFetcher(Fetcher::new(policy(config))?));
    let webhooks = WebhookConfig::new(&secret, config.webhooks.max_attempts).context("webhooks.secret")?;
    Ok(Some((webhooks, transport)))
}
