//! A chat's settings, and where in it an answer belongs.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::text::Language;
use super::types::Message;

/// What a chat has chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Chat {
    pub language: Option<Language>,
    pub style: Option<String>,
    pub ratio: Option<String>,
    /// Nothing is answered in this group.
    pub is_muted: bool,
}

/// Where an answer is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// In a chat, as a reply to a message.
    Chat { chat: i64, topic: Option<i64>, reply_to: i64 },
    /// In a message that was sent by way of the bot.
    Inline { message: String },
}

impl Place {
    /// Below a message.
    pub fn below(message: &Message) -> Self {
        Self::Chat { chat: message.chat.id, topic: message.topic(), reply_to: message.message_id }
    }

    pub fn chat(&self) -> Option<i64> {
        match self {
            Self::Chat { chat, .. } => Some(*chat),
            Self::Inline { .. } => None,
        }
    }

    /// The fields of a message that is sent here.
    pub fn to_send(&self) -> Json {
        match self {
            Self::Chat { chat, topic, reply_to } => json!({
                "chat_id": chat,
                "message_thread_id": topic,
                "reply_parameters": {"message_id": reply_to, "allow_sending_without_reply": true},
            }),
            Self::Inline { .. } => json!({}),
        }
    }

    /// The fields that name the answer's message, if there is one.
    pub fn to_edit(&self, message: Option<i64>) -> Option<Json> {
        match self {
            Self::Chat { chat, .. } => message.map(|message| json!({"chat_id": chat, "message_id": message})),
            Self::Inline { message } => Some(json!({"inline_message_id": message})),
        }
    }
}
