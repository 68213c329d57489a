//! What the bot is told at its start.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Everything that is configured.
#[derive(Debug, Clone)]
pub struct BotOptions {
    /// Address of the server, without a slash at its end.
    pub server: String,
    pub key: Option<SecretString>,
    pub token: SecretString,
    /// Address of the Bot API, without a slash at its end.
    pub api_root: String,
    /// The file with chats' settings and unfinished answers.
    pub file: PathBuf,
    /// Ids of users and chats that may use the bot; empty: all may.
    pub allowed: Vec<i64>,
    /// Images of one user that are made at once.
    pub concurrency: usize,
    /// Requests of one user that wait for these; further ones are refused.
    pub waiting: usize,
    /// Images of one user a day (UTC); 0: as many as the server makes.
    pub daily_images: u32,
    /// Images that *Variations* gives.
    pub variations: u32,
    /// Decoder steps; 0: the server's default.
    pub steps: u32,
    /// Pause between edits of a message under way, in private chats and in groups.
    pub edit_pause: Duration,
    pub group_edit_pause: Duration,
    /// Where images for inline messages are sent first; `None`: no inline mode.
    pub storage_chat: Option<i64>,
    /// Address of the web page with the editor, for answers about inpainting; empty: the bot does not mention one.
    pub editor_url: String,
    /// `None`: long polling.
    pub webhook: Option<Webhook>,
}

/// Updates that Telegram sends by itself.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Address that Telegram calls.
    pub url: String,
    /// Where the bot listens: `HOST:PORT`.
    pub listen: String,
    /// What Telegram shows with each call.
    pub secret: SecretString,
}
