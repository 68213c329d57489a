//! The Telegram bot: a client of a running server over HTTP, as any other client is.
//!
//! Invariants: it never touches a model; what Telegram has confirmed as received is in the bot's own file, and is answered
//! once, whatever dies in between; the token is in no message and in no log.

mod album;
mod answer;
mod buttons;
mod callbacks;
mod chats;
mod commands;
mod context;
mod deliver;
mod dispatch;
mod drawing;
mod error;
mod feed;
mod inline;
mod message_flow;
mod notes;
mod options;
mod polling;
mod run;
mod server;
mod sse;
mod status;
mod telegram;
mod text;
mod throttle;
mod types;
mod upload;
mod webhook;

pub use error::BotError;
pub use options::{BotOptions, Webhook};
pub use run::run;
