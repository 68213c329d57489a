//! A webhook: Telegram calls the bot.
//!
//! Invariant: a call without the secret is refused before its body is read as anything; an update is noted before Telegram hears 200.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::post;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::context::Bot;
use super::dispatch::Dispatcher;
use super::error::BotError;
use super::options::Webhook;
use super::types::Update;

/// Updates are small: images come as ids.
const MOST_BYTES: usize = 1 << 20;

struct Receiver {
    dispatcher: Arc<Dispatcher>,
    secret: SecretString,
}

/// Take updates in until the process is to stop.
pub(super) async fn listen(bot: &Bot, dispatcher: Arc<Dispatcher>, webhook: &Webhook) -> Result<(), BotError> {
    let failed = |source| BotError::Listen { address: webhook.listen.clone(), source };
    let listener = tokio::net::TcpListener::bind(&webhook.listen).await.map_err(failed)?;
    let address: SocketAddr = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "listening for Telegram");
    let receiver = Arc::new(Receiver { dispatcher, secret: webhook.secret.clone() });
    // Whatever the path is: a proxy may have taken a part of it away.
    let router = Router::new().fallback(post(receive)).layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(receiver);
    let stopping = bot.stopping.clone();
    axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await.map_err(failed)
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let shown = headers.get("x-telegram-bot-api-secret-token").map(HeaderValue::as_bytes).unwrap_or_default();
    // Digests differ at a place that says nothing about the secret.
    if Sha256::digest(shown) != Sha256::digest(receiver.secret.expose_secret()) {
        return StatusCode::FORBIDDEN;
    }
    let Ok(update) = serde_json::from_slice::<Update>(&body) else {
        // Telegram repeats what is refused, and this would be refused for ever.
        tracing::warn!("an update that is not understood");
        return StatusCode::OK;
    };
    match receiver.dispatcher.receive(vec![update]).await {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            tracing::error!(%error, "the bot's file cannot be used");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
