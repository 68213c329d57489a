//! The way to the remote moderation.
//!
//! Invariant: its address is the operator's, so it may be anywhere; redirects are not followed, and answers are bounded.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use reqwest::{Client, Response, header};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{ModerationReply, ModerationTransport};
use crate::{signature, tls};

/// Longest answer, bytes.
const LONGEST: usize = 1 << 20;

/// Who the service knows us as.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// `Authorization: Bearer`; empty: none.
    Bearer(SecretString),
    /// A secret of Standard Webhooks; empty: messages are not signed.
    Signature(SecretString),
}

/// Posts over HTTP.
pub struct HttpModerationTransport {
    client: Client,
    url: String,
    credentials: Credentials,
}

impl HttpModerationTransport {
    /// To this address; `timeout` is that of one attempt.
    pub fn new(url: String, credentials: Credentials, timeout: Duration) -> Result<Self, String> {
        let client = tls::client_builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("kandinsky/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { client: client.map_err(|error| error.to_string())?, url, credentials })
    }
}

#[async_trait]
impl ModerationTransport for HttpModerationTransport {
    async fn post(&self, body: String) -> Result<ModerationReply, String> {
        let mut request = self.client.post(&self.url).header(header::CONTENT_TYPE, "application/json");
        match &self.credentials {
            Credentials::Bearer(key) | Credentials::Signature(key) if key.expose_secret().is_empty() => {}
            Credentials::Bearer(key) => request = request.bearer_auth(key.expose_secret()),
            Credentials::Signature(secret) => {
                let id = format!("msg_{}", Uuid::now_v7().simple());
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                let now = i64::try_from(now).unwrap_or(i64::MAX);
                let signed = signature::sign(secret, &id, now, &body).ok_or("the secret is none")?;
                request = request
                    .header("webhook-id", id)
                    .header("webhook-timestamp", now.to_string())
                    .header("webhook-signature", signed);
            }
        }
        // The address may hold a secret.
        let failed = |error: reqwest::Error| error.without_url().to_string();
        let response = request.body(body).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        Ok(ModerationReply { status, body: bounded(response).await? })
    }
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + chunk.len() > LONGEST {
            return Err("its answer is too long".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
