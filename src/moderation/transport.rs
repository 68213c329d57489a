//! HTTP to the remote moderation service.
//!
//! Invariant: the address is the operator's choice, so private networks are allowed; redirects are not followed, and answers
//! are bounded.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use reqwest::{Client, header};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::remote::{ModerationReply, ModerationTransport};
use crate::signature::Signer;
use crate::tls;

/// Longest answer, bytes.
const LONGEST: usize = 1 << 20;

/// How the server authenticates to the service.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// `Authorization: Bearer`; empty: no such header.
    Bearer(SecretString),
    /// A secret of Standard Webhooks; empty: messages are not signed.
    Signature(SecretString),
}

/// Credentials, checked.
enum Authentication {
    None,
    Bearer(SecretString),
    Signature(Signer),
}

/// Posts over HTTP.
pub struct HttpModerationTransport {
    client: Client,
    url: String,
    authentication: Authentication,
}

impl HttpModerationTransport {
    /// To this address; `timeout` is that of one attempt. A secret that cannot sign is an error.
    pub fn new(url: String, credentials: Credentials, timeout: Duration) -> Result<Self, String> {
        let authentication = match credentials {
            Credentials::Bearer(key) | Credentials::Signature(key) if key.expose_secret().is_empty() => {
                Authentication::None
            }
            Credentials::Bearer(key) => Authentication::Bearer(key),
            Credentials::Signature(secret) => {
                Authentication::Signature(Signer::new(&secret).map_err(|error| error.to_string())?)
            }
        };
        let client = tls::client_builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("kandinsky/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { client: client.map_err(|error| error.to_string())?, url, authentication })
    }
}

#[async_trait]
impl ModerationTransport for HttpModerationTransport {
    async fn post(&self, body: String) -> Result<ModerationReply, String> {
        let mut request = self.client.post(&self.url).header(header::CONTENT_TYPE, "application/json");
        match &self.authentication {
            Authentication::None => {}
            Authentication::Bearer(key) => request = request.bearer_auth(key.expose_secret()),
            Authentication::Signature(signer) => {
                let id = format!("msg_{}", Uuid::now_v7().simple());
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                let now = i64::try_from(now).unwrap_or(i64::MAX);
                let signature = signer.sign(&id, now, &body);
                request = request
                    .header("webhook-id", id)
                    .header("webhook-timestamp", now.to_string())
                    .header("webhook-signature", signature);
            }
        }
        // The address may hold a secret.
        let failed = |error: reqwest::Error| error.without_url().to_string();
        let response = request.body(body).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        Ok(ModerationReply { status, body: tls::read_bounded(response, LONGEST).await? })
    }
}
