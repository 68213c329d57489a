//! Why the bot, a call of Telegram or a call of the server failed.
//!
//! Invariant: no message has an address in it, since Telegram's addresses contain the token.

use std::time::Duration;

/// Why the bot cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    #[error("{0}")]
    Options(String),
    #[error("Telegram does not know the token: check bot.token, or the file of bot.token_file (@BotFather, /token)")]
    Token,
    #[error("another process reads the updates of this bot; a bot can have one process only: {0}")]
    Conflict(String),
    #[error("the bot's file cannot be used: {0}")]
    Notes(#[from] sqlx::Error),
    #[error("another process uses {0}; a bot can have one process only")]
    FileInUse(String),
    #[error("cannot lock {file}: {source}")]
    Lock { file: String, source: std::io::Error },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: std::io::Error },
    #[error("Telegram refuses {method}: {why}")]
    Telegram { method: &'static str, why: String },
}

/// Why a call of the Bot API failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TelegramError {
    /// 429: too many calls.
    #[error("too many calls; again in {} s", .0.as_secs())]
    Flood(Duration),
    /// 401 or 404: the token is wrong.
    #[error("the token is not valid")]
    Token,
    /// 403: blocked by the user, or thrown out of the chat.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// 409: another process polls, or there is a webhook.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The group has become another chat.
    #[error("the chat is {0} now")]
    Moved(i64),
    /// Any other refusal.
    #[error("{0}")]
    Refused(String),
    /// No answer, or one that cannot be read, or one of a failing server.
    #[error("no answer: {0}")]
    Unreachable(String),
}

impl TelegramError {
    /// Whether the call has no effect because it had it before.
    pub fn is_done_already(&self) -> bool {
        matches!(self, Self::Refused(why) if why.contains("message is not modified"))
    }

    /// Whether the message that was to be changed is not there any more, or cannot be changed any more.
    pub fn is_message_gone(&self) -> bool {
        matches!(self, Self::Refused(why) if ["message to edit not found", "message can't be edited", "MESSAGE_ID_INVALID"]
            .iter().any(|said| why.contains(said)))
    }

    /// Whether a text was to be changed where there is a photo.
    pub fn is_photo(&self) -> bool {
        matches!(self, Self::Refused(why) if why.contains("there is no text in the message to edit"))
    }
}

/// Why a call of the server failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ServerError {
    /// No answer; it may come back.
    #[error("the server does not answer: {0}")]
    Unreachable(String),
    /// 429 or 503.
    #[error("the server is busy: {why}")]
    Busy { after: Duration, why: String },
    /// The job or its images are gone (404 or 410).
    #[error("gone")]
    Gone,
    /// Refused, with what the server said.
    #[error("refused with {status}: {}", .problem.detail)]
    Refused { status: u16, problem: Problem },
}

/// What is read of a problem document.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub detail: String,
    pub categories: Vec<String>,
    pub errors: Vec<FieldError>,
}

/// A value that breaks a rule.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct FieldError {
    pub pointer: String,
    pub message: String,
}

impl Problem {
    /// Whether moderation refused it.
    pub fn is_moderation(&self) -> bool {
        self.kind.ends_with("/moderation-blocked")
    }
}
