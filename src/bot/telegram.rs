//! A client of the Bot API: one call, its files, and what Telegram answered.
//!
//! Invariant: the token is in the addresses of requests and nowhere else: errors of the HTTP client come without addresses, and
//! whatever Telegram says is searched for the token.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::error::TelegramError;
use super::throttle::Throttle;
use super::types::File;
use super::upload::Upload;
use crate::tls;

/// Longer than the connection is quiet in a long poll.
const TIMEOUT: Duration = Duration::from_secs(90);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses after no answer.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Telegram's limits are of messages, and this one shows none.
const NOT_COUNTED: &str = "deleteMessage";
/// Most bytes of a file that Telegram gives to bots.
pub(super) const MOST_DOWNLOADED: usize = 20 << 20;

/// A client for one bot.
#[derive(Debug)]
pub(super) struct Telegram {
    http: reqwest::Client,
    root: String,
    token: SecretString,
    throttle: Throttle,
}

/// What every answer has.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    result: Json,
    #[serde(default)]
    error_code: u16,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

impl Telegram {
    pub fn new(root: &str, token: SecretString) -> Result<Self, TelegramError> {
        let http = tls::client_builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build();
        let http = http.map_err(|error| TelegramError::Unreachable(error.without_url().to_string()))?;
        Ok(Self { http, root: root.to_owned(), token, throttle: Throttle::default() })
    }

    /// One attempt at a call, without waiting for a turn.
    pub async fn try_call<R: DeserializeOwned>(&self, method: &str, body: &Json) -> Result<R, TelegramError> {
        self.attempt(method, body, &[]).await
    }

    /// A call that is repeated until Telegram has decided on it. `body` must have `chat_id` if it is about a chat.
    ///
    /// # Errors
    /// What Telegram refuses; never [`TelegramError::Flood`] or [`TelegramError::Unreachable`].
    pub async fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        mut body: Json,
        uploads: &[Upload],
    ) -> Result<R, TelegramError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let chat = body["chat_id"].as_i64();
            let cost = body["media"].as_array().map_or(1, |items| u32::try_from(items.len()).unwrap_or(1));
            if method != NOT_COUNTED {
                self.throttle.turn(chat, cost).await;
            }
            match self.attempt(method, &body, uploads).await {
                Err(TelegramError::Flood(after)) => {
                    tracing::warn!(
                        telegram.method = method,
                        telegram.retry_after_s = after.as_secs(),
                        "too many calls"
                    );
                    match chat {
                        Some(chat) => self.throttle.close(chat, after),
                        // What is about no chat keeps none from its turn.
                        None => tokio::time::sleep(after).await,
                    }
                }
                Err(TelegramError::Unreachable(why)) => {
                    tracing::warn!(telegram.method = method, %why, "Telegram does not answer");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(TelegramError::Moved(chat)) => body["chat_id"] = json!(chat),
                other => return other,
            }
        }
    }

    /// One attempt at a call that may be left out: it is not made if it is not the chat's turn. `Ok(None)`: not made.
    pub async fn call_if_possible<R: DeserializeOwned>(
        &self,
        method: &str,
        body: &Json,
        uploads: &[Upload],
    ) -> Result<Option<R>, TelegramError> {
        let chat = body["chat_id"].as_i64();
        if !self.throttle.try_turn(chat) {
            return Ok(None);
        }
        let outcome = self.attempt(method, body, uploads).await;
        if let (Err(TelegramError::Flood(after)), Some(chat)) = (&outcome, chat) {
            self.throttle.close(chat, *after);
        }
        outcome.map(Some)
    }

    async fn attempt<R: DeserializeOwned>(
        &self,
        method: &str,
        body: &Json,
        uploads: &[Upload],
    ) -> Result<R, TelegramError> {
        let url = format!("{}/bot{}/{method}", self.root, self.token.expose_secret());
        let request = self.http.post(url);
        let request = match uploads {
            [] => request.json(&given(body).collect::<serde_json::Map<_, _>>()),
            _ => request.multipart(form(body, uploads)),
        };
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| unreachable(&error))?;
        let Ok(answer) = serde_json::from_slice::<Answer>(&bytes) else {
            return Err(TelegramError::Unreachable(format!("status {status} without an answer")));
        };
        if answer.ok {
            return serde_json::from_value(answer.result).map_err(|error| {
                TelegramError::Refused(format!("an answer to {method} that is not understood: {error}"))
            });
        }
        let why = self.without_token(&answer.description);
        Err(match (answer.error_code, answer.parameters) {
            (429, parameters) => TelegramError::Flood(Duration::from_secs(parameters.retry_after.unwrap_or(1).max(1))),
            (_, Parameters { migrate_to_chat_id: Some(chat), .. }) => TelegramError::Moved(chat),
            (401 | 404, _) => TelegramError::Token,
            (403, _) => TelegramError::Forbidden(why),
            (409, _) => TelegramError::Conflict(why),
            (500.., _) => TelegramError::Unreachable(format!("status {}", answer.error_code)),
            _ => TelegramError::Refused(why),
        })
    }

    /// The bytes of a file that a user sent.
    pub async fn download(&self, file_id: &str) -> Result<Vec<u8>, TelegramError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_download(file_id).await {
                Err(TelegramError::Flood(after)) => tokio::time::sleep(after).await,
                Err(TelegramError::Unreachable(why)) => {
                    tracing::warn!(%why, "a file cannot be read");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                other => return other,
            }
        }
    }

    async fn try_download(&self, file_id: &str) -> Result<Vec<u8>, TelegramError> {
        let file: File = self.attempt("getFile", &json!({"file_id": file_id}), &[]).await?;
        let path = file.file_path.ok_or_else(|| TelegramError::Refused("the file is not to be had".to_owned()))?;
        // A Bot API server of one's own gives paths in its folder.
        if path.starts_with('/') && !self.root.ends_with("api.telegram.org") {
            return tokio::fs::read(&path).await.map_err(|error| TelegramError::Refused(error.to_string()));
        }
        let url = format!("{}/file/bot{}/{path}", self.root, self.token.expose_secret());
        let mut response = self.http.get(url).send().await.map_err(|error| unreachable(&error))?;
        match response.status().as_u16() {
            200 => {}
            status @ (429 | 500..) => return Err(TelegramError::Unreachable(format!("status {status}"))),
            status => return Err(TelegramError::Refused(format!("status {status} for a file"))),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_DOWNLOADED {
                return Err(TelegramError::Refused("file is too big".to_owned()));
            }
        }
        Ok(bytes)
    }

    fn without_token(&self, text: &str) -> String {
        text.replace(self.token.expose_secret(), "[token]")
    }
}

/// The address has the token in it.
fn unreachable(error: &reqwest::Error) -> TelegramError {
    let what = match error {
        error if error.is_timeout() => "timeout",
        error if error.is_connect() => "no connection",
        _ => "the connection broke",
    };
    TelegramError::Unreachable(what.to_owned())
}

/// The fields that have a value.
fn given(body: &Json) -> impl Iterator<Item = (String, Json)> {
    let fields = body.as_object().into_iter().flatten();
    fields.filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone()))
}

/// Texts as they are, everything else as JSON, as the Bot API wants it.
fn form(body: &Json, uploads: &[Upload]) -> Form {
    let mut form = Form::new();
    for (name, value) in given(body) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        form = form.text(name, text);
    }
    for upload in uploads {
        let part = Part::bytes(upload.bytes.clone()).file_name(upload.file_name.clone());
        // The media types are constants of this module.
        if let Ok(part) = part.mime_str(upload.media_type) {
            form = form.part(upload.field.clone(), part);
        }
    }
    form
}
