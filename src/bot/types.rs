//! What is read of Telegram's objects (Bot API, "Available types").
//!
//! Invariant: only fields that the bot uses are here; unknown ones are ignored, so newer versions of the API do no harm.

#![expect(clippy::struct_field_names, reason = "the names are Telegram's")]

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// An update: one of these is set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Update {
    pub update_id: i64,
    pub message: Option<Message>,
    pub callback_query: Option<CallbackQuery>,
    pub inline_query: Option<InlineQuery>,
    pub chosen_inline_result: Option<ChosenInlineResult>,
}

/// A message. `date` is 0 for one that is not accessible any more.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Message {
    pub message_id: i64,
    pub message_thread_id: Option<i64>,
    #[serde(default)]
    pub is_topic_message: bool,
    pub from: Option<User>,
    /// Of one that is sent in the name of a chat: by an administrator who stays anonymous, the group itself.
    pub sender_chat: Option<Chat>,
    pub chat: Chat,
    pub media_group_id: Option<String>,
    pub text: Option<String>,
    pub caption: Option<String>,
    #[serde(default)]
    pub photo: Vec<PhotoSize>,
    pub document: Option<Document>,
    pub reply_to_message: Option<Box<Message>>,
    /// Set if it was sent by way of an inline bot.
    pub via_bot: Option<User>,
    /// The group has become this chat.
    pub migrate_to_chat_id: Option<i64>,
    /// These are neither text nor an image. A message with nothing at all is Telegram's own, such as that one was pinned.
    pub animation: Option<Json>,
    pub audio: Option<Json>,
    pub contact: Option<Json>,
    pub dice: Option<Json>,
    pub location: Option<Json>,
    pub poll: Option<Json>,
    pub sticker: Option<Json>,
    pub story: Option<Json>,
    pub video: Option<Json>,
    pub video_note: Option<Json>,
    pub voice: Option<Json>,
}

impl Message {
    /// The file of the image in it: of a photo the largest size.
    pub fn image(&self) -> Option<&str> {
        if let Some(largest) = self.photo.iter().max_by_key(|size| u64::from(size.width) * u64::from(size.height)) {
            return Some(&largest.file_id);
        }
        let document = self.document.as_ref()?;
        document.mime_type.as_deref()?.starts_with("image/").then_some(document.file_id.as_str())
    }

    /// Whether there is something in it that cannot be drawn from.
    pub fn has_other_content(&self) -> bool {
        let others = [
            &self.animation,
            &self.audio,
            &self.contact,
            &self.dice,
            &self.location,
            &self.poll,
            &self.sticker,
            &self.story,
            &self.video,
            &self.video_note,
            &self.voice,
        ];
        self.image().is_none() && (self.document.is_some() || others.into_iter().any(Option::is_some))
    }

    /// Size of the image's file in bytes, if it is known.
    pub fn image_bytes(&self) -> u64 {
        self.document.as_ref().and_then(|document| document.file_size).unwrap_or(0)
    }

    /// Who sent it: a person, or the chat in whose name it was sent; those have an account of Telegram's in common. `None`: a bot.
    pub fn sender(&self) -> Option<i64> {
        match (&self.from, &self.sender_chat) {
            (Some(from), _) if !from.is_bot => Some(from.id),
            (_, Some(chat)) => Some(chat.id),
            _ => None,
        }
    }

    /// Whether it was sent in the name of its own group, which administrators alone can do.
    pub fn is_anonymous(&self) -> bool {
        self.sender() == Some(self.chat.id) && !self.chat.is_private()
    }

    /// The topic that answers belong to.
    pub fn topic(&self) -> Option<i64> {
        self.message_thread_id.filter(|_| self.is_topic_message)
    }

    /// What was written: the text, or what is below an image.
    pub fn words(&self) -> &str {
        self.text.as_deref().or(self.caption.as_deref()).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Chat {
    pub id: i64,
    /// `private`, `group`, `supergroup` or `channel`.
    #[serde(rename = "type", default)]
    pub kind: String,
}

impl Chat {
    pub fn is_private(&self) -> bool {
        self.kind == "private"
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct User {
    pub id: i64,
    #[serde(default)]
    pub is_bot: bool,
    pub username: Option<String>,
    /// IETF language tag of the user's program.
    pub language_code: Option<String>,
}

/// One size of a photo, px.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PhotoSize {
    pub file_id: String,
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Document {
    pub file_id: String,
    pub mime_type: Option<String>,
    pub file_size: Option<u64>,
}

/// A button was pressed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CallbackQuery {
    pub id: String,
    pub from: User,
    pub message: Option<Message>,
    pub inline_message_id: Option<String>,
    pub data: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct InlineQuery {
    pub id: String,
    pub from: User,
    pub query: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ChosenInlineResult {
    pub result_id: String,
    pub from: User,
    pub query: String,
    pub inline_message_id: Option<String>,
}

/// What `getFile` says.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    pub file_path: Option<String>,
}

/// What `getChatMember` says.
#[derive(Debug, Deserialize)]
pub(super) struct ChatMember {
    pub status: String,
}
