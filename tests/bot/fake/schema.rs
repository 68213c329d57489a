//! Which fields each method has (Bot API, "Available methods"), and what is wrong with a call.
//!
//! Invariant: what is not documented is refused. `.ci/bot` compares this table with two clients that others wrote.

use serde_json::Value as Json;

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int,
    Text,
    Flag,
    /// An object or a list, in JSON.
    Json,
    /// A file: uploaded, or a reference to one.
    File,
}

use Kind::{File, Flag, Int, Json as Object, Text};

/// A method: its fields, and whether each is required.
pub struct Method {
    pub name: &'static str,
    pub fields: &'static [(&'static str, Kind, bool)],
    /// Whether it counts as a message.
    pub is_message: bool,
}

const fn method(name: &'static str, is_message: bool, fields: &'static [(&'static str, Kind, bool)]) -> Method {
    Method { name, fields, is_message }
}

/// Fields that all messages to a chat have.
macro_rules! to_chat {
    ($($field:expr),* $(,)?) => {
        &[
            ("chat_id", Int, true),
            ("message_thread_id", Int, false),
            ("disable_notification", Flag, false),
            ("protect_content", Flag, false),
            ("reply_parameters", Object, false),
            $($field),*
        ]
    };
}

/// Fields that all edits have.
macro_rules! of_message {
    ($($field:expr),* $(,)?) => {
        &[
            ("chat_id", Int, false),
            ("message_id", Int, false),
            ("inline_message_id", Text, false),
            ("reply_markup", Object, false),
            $($field),*
        ]
    };
}

pub const METHODS: &[Method] = &[
    method("getMe", false, &[]),
    method(
        "getUpdates",
        false,
        &[("offset", Int, false), ("limit", Int, false), ("timeout", Int, false), ("allowed_updates", Object, false)],
    ),
    method(
        "setWebhook",
        false,
        &[
            ("url", Text, true),
            ("max_connections", Int, false),
            ("allowed_updates", Object, false),
            ("drop_pending_updates", Flag, false),
            ("secret_token", Text, false),
        ],
    ),
    method("deleteWebhook", false, &[("drop_pending_updates", Flag, false)]),
    method(
        "sendMessage",
        true,
        to_chat![
            ("text", Text, true),
            ("parse_mode", Text, false),
            ("entities", Object, false),
            ("link_preview_options", Object, false),
            ("reply_markup", Object, false),
        ],
    ),
    method(
        "sendPhoto",
        true,
        to_chat![
            ("photo", File, true),
            ("caption", Text, false),
            ("parse_mode", Text, false),
            ("has_spoiler", Flag, false),
            ("reply_markup", Object, false),
        ],
    ),
    method(
        "sendDocument",
        true,
        to_chat![
            ("document", File, true),
            ("caption", Text, false),
            ("disable_content_type_detection", Flag, false),
            ("reply_markup", Object, false),
        ],
    ),
    method("sendMediaGroup", true, to_chat![("media", Object, true)]),
    method(
        "editMessageText",
        true,
        of_message![("text", Text, true), ("parse_mode", Text, false), ("link_preview_options", Object, false)],
    ),
    method("editMessageCaption", true, of_message![("caption", Text, false), ("parse_mode", Text, false)]),
    method("editMessageMedia", true, of_message![("media", Object, true)]),
    method("editMessageReplyMarkup", true, of_message![]),
    method("deleteMessage", false, &[("chat_id", Int, true), ("message_id", Int, true)]),
    method(
        "sendChatAction",
        false,
        &[("chat_id", Int, true), ("message_thread_id", Int, false), ("action", Text, true)],
    ),
    method(
        "setMessageReaction",
        false,
        &[("chat_id", Int, true), ("message_id", Int, true), ("reaction", Object, false), ("is_big", Flag, false)],
    ),
    method(
        "answerCallbackQuery",
        false,
        &[
            ("callback_query_id", Text, true),
            ("text", Text, false),
            ("show_alert", Flag, false),
            ("url", Text, false),
            ("cache_time", Int, false),
        ],
    ),
    method(
        "answerInlineQuery",
        false,
        &[
            ("inline_query_id", Text, true),
            ("results", Object, true),
            ("cache_time", Int, false),
            ("is_personal", Flag, false),
            ("next_offset", Text, false),
            ("button", Object, false),
        ],
    ),
    method("getFile", false, &[("file_id", Text, true)]),
    method("getChatMember", false, &[("chat_id", Int, true), ("user_id", Int, true)]),
    method(
        "setMyCommands",
        false,
        &[("commands", Object, true), ("scope", Object, false), ("language_code", Text, false)],
    ),
    method("setMyDescription", false, &[("description", Text, false), ("language_code", Text, false)]),
];

/// A call: its fields as texts or JSON, and the fields that were files.
#[derive(Debug, Clone, Default)]
pub struct Call {
    pub fields: serde_json::Map<String, Json>,
    pub files: Vec<(String, Vec<u8>)>,
}

impl Call {
    pub fn int(&self, name: &str) -> Option<i64> {
        let value = self.fields.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| value == true || value == "true")
    }

    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|(field, _)| field == name).map(|(_, bytes)| bytes.as_slice())
    }
}

/// What is wrong with the fields of a call; objects that came as texts are parsed.
pub fn check(method: &Method, call: &mut Call) -> Result<(), String> {
    for (name, value) in &mut call.fields {
        let Some((_, kind, _)) = method.fields.iter().find(|(known, _, _)| known == name) else {
            return Err(format!("Bad Request: unknown field {name}"));
        };
        let good = match kind {
            Int => value.is_i64() || value.as_str().is_some_and(|text| text.parse::<i64>().is_ok()),
            Text | File => value.is_string(),
            Flag => value.is_boolean() || value == "true" || value == "false",
            Object => {
                if let Some(parsed) = value.as_str().and_then(|text| serde_json::from_str::<Json>(text).ok()) {
                    *value = parsed;
                }
                value.is_object() || value.is_array()
            }
        };
        if !good {
            return Err(format!("Bad Request: field {name} must be {kind:?}"));
        }
    }
    for (name, _, is_required) in method.fields {
        let is_there = call.fields.contains_key(*name) || call.file(name).is_some();
        if *is_required && !is_there {
            return Err(format!("Bad Request: field {name} is required"));
        }
    }
    Ok(())
}

/// UTF-16 code units, as Telegram counts.
pub fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// What is wrong with a keyboard.
pub fn check_markup(markup: &Json) -> Result<(), String> {
    let object = markup.as_object().ok_or("Bad Request: object expected as reply markup")?;
    if object.get("force_reply") == Some(&Json::Bool(true)) {
        let known = ["force_reply", "selective", "input_field_placeholder"];
        return match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(format!("Bad Request: unknown field {key} in reply markup")),
            None => Ok(()),
        };
    }
    let rows = object.get("inline_keyboard").and_then(Json::as_array).ok_or("Bad Request: inline keyboard expected")?;
    for button in rows.iter().flat_map(|row| row.as_array().into_iter().flatten()) {
        let text = button["text"].as_str().unwrap_or_default();
        let data = button["callback_data"].as_str().unwrap_or_default();
        if text.is_empty() || button.as_object().is_none_or(|button| button.len() != 2) {
            return Err("Bad Request: can't parse inline keyboard button: a text and one action".to_owned());
        }
        if data.is_empty() || data.len() > 64 {
            return Err("Bad Request: BUTTON_DATA_INVALID".to_owned());
        }
    }
    Ok(())
}
