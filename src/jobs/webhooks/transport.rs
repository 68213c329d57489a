//! What webhooks are signed and carried with.

use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::retry::RetryPolicy;
use crate::signature::{InvalidSecret, Signer};

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// How deliveries are signed and retried.
#[derive(Clone)]
pub struct WebhookConfig {
    pub signer: Signer,
    pub retry: RetryPolicy,
}

impl WebhookConfig {
    /// With the default pauses: 5 s, doubling up to an hour.
    pub fn new(secret: &SecretString, max_attempts: u32) -> Result<Self, InvalidSecret> {
        let retry = RetryPolicy::doubling(FIRST_PAUSE, LONGEST_PAUSE).at_most(max_attempts);
        Ok(Self { signer: Signer::new(secret)?, retry })
    }
}

/// Carries messages to their receivers.
#[async_trait]
pub trait WebhookTransport: Send + Sync {
    /// Post `body`; the status of the answer, or what went wrong.
    async fn post(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<u16, String>;
}
