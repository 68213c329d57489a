//! What people do: they write, send photos, press buttons, choose inline results.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::Fake;
use super::state::{Pressed, State};

/// Something that a user sends.
#[derive(Debug, Clone, Default)]
pub struct Post {
    pub text: Option<String>,
    /// A file that is there already.
    pub photo: Option<String>,
    pub caption: Option<String>,
    pub reply_to: Option<i64>,
    pub album: Option<String>,
    pub topic: Option<i64>,
    /// Fields that are set beside these, or in their place.
    pub more: Json,
}

impl Post {
    pub fn text(text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..Self::default() }
    }

    pub fn photo(file: &str) -> Self {
        Self { photo: Some(file.to_owned()), ..Self::default() }
    }
}

impl State {
    pub fn add_user(&mut self, id: i64, language: &str) {
        let user = json!({"id": id, "is_bot": false, "first_name": "Ada", "language_code": language});
        self.users.insert(id, user);
        self.chats.insert(id, json!({"id": id, "type": "private", "first_name": "Ada"}));
    }

    pub fn add_group(&mut self, id: i64) {
        self.chats.insert(id, json!({"id": id, "type": "supergroup", "title": "Painters"}));
    }

    /// A message as the bot gets it; it is not sent yet.
    pub fn compose(&mut self, user: i64, chat: i64, post: Post) -> Json {
        let id = self.next_message();
        let mut message = json!({"message_id": id, "from": self.users[&user], "chat": self.chats[&chat],
                                 "date": 1_700_000_000 + id});
        if let Some(text) = post.text {
            if let Some(command) = text.split_whitespace().next().filter(|word| word.starts_with('/')) {
                message["entities"] = json!([{"type": "bot_command", "offset": 0, "length": command.len()}]);
            }
            message["text"] = json!(text);
        }
        if let Some(file) = post.photo {
            message["photo"] = self.photo(&file);
        }
        for (name, value) in [("caption", post.caption), ("media_group_id", post.album)] {
            if let Some(value) = value {
                message[name] = json!(value);
            }
        }
        if let Some(topic) = post.topic {
            message["message_thread_id"] = json!(topic);
            message["is_topic_message"] = json!(true);
        }
        if let Some(reply) = post.reply_to {
            let mut replied = self.messages[&(chat, reply)].clone();
            replied.as_object_mut().unwrap().remove("reply_to_message");
            message["reply_to_message"] = replied;
        }
        for (name, value) in post.more.as_object().into_iter().flatten() {
            message[name] = value.clone();
        }
        self.messages.insert((chat, id), message.clone());
        message
    }

    /// Send a message; its id.
    pub fn post(&mut self, user: i64, chat: i64, post: Post) -> i64 {
        let message = self.compose(user, chat, post);
        let id = message["message_id"].as_i64().unwrap();
        self.push_update("message", &message);
        id
    }

    /// Press the button whose text contains this; the id of the press.
    pub fn press(&mut self, user: i64, chat: i64, message: i64, button: &str) -> Result<String, String> {
        let message = self.messages.get(&(chat, message)).ok_or("there is no such message")?.clone();
        let data = button_data(&message, button)?;
        let query = json!({"message": message});
        Ok(self.push_press(user, query, &data))
    }

    /// Press a button of a message that Telegram has let go: it says where it was, and nothing else.
    pub fn press_old(&mut self, user: i64, message: &Json, data: &str) -> String {
        let message = json!({"chat": message["chat"], "message_id": message["message_id"], "date": 0});
        self.push_press(user, json!({"message": message}), data)
    }

    pub fn press_inline(&mut self, user: i64, message: &str, button: &str) -> Result<String, String> {
        let data = button_data(self.inline_messages.get(message).ok_or("there is no such message")?, button)?;
        let query = json!({"inline_message_id": message});
        Ok(self.push_press(user, query, &data))
    }

    fn push_press(&mut self, user: i64, mut query: Json, data: &str) -> String {
        let id = format!("press-{}", self.number());
        query["id"] = json!(id);
        query["from"] = self.users[&user].clone();
        query["chat_instance"] = json!("1");
        query["data"] = json!(data);
        self.pressed.insert(id.clone(), Pressed { at: Instant::now(), answer: None });
        self.push_update("callback_query", &query);
        id
    }

    /// Write `@bot text` somewhere; the id of the query.
    pub fn ask_inline(&mut self, user: i64, text: &str) -> String {
        let id = format!("query-{}", self.number());
        let query = json!({"id": id, "from": self.users[&user], "query": text, "offset": "", "chat_type": "private"});
        self.inline_queries.insert(id.clone(), None);
        self.push_update("inline_query", &query);
        id
    }

    /// Choose a result; the id of the message that comes of it.
    pub fn choose(&mut self, user: i64, query: &str, result: &str, text: &str) -> Result<String, String> {
        let results = self.inline_queries.get(query).cloned().flatten().ok_or("the query is not answered")?;
        let offered = results.as_array().into_iter().flatten().find(|offered| offered["id"] == result);
        let offered = offered.ok_or("there is no such result")?;
        let id = format!("inline-{}", self.number());
        let message =
            json!({"text": offered["input_message_content"]["message_text"], "reply_markup": offered["reply_markup"]});
        self.inline_messages.insert(id.clone(), message);
        let mut chosen = json!({"result_id": result, "from": self.users[&user], "query": text});
        // Without a keyboard, there is no id.
        if offered["reply_markup"].is_object() {
            chosen["inline_message_id"] = json!(id);
        }
        self.push_update("chosen_inline_result", &chosen);
        Ok(id)
    }
}

pub fn button_data(message: &Json, button: &str) -> Result<String, String> {
    let rows = message["reply_markup"]["inline_keyboard"].as_array().cloned().unwrap_or_default();
    let mut buttons = rows.iter().flat_map(|row| row.as_array().into_iter().flatten());
    let found = buttons.find(|found| found["text"].as_str().is_some_and(|text| text.contains(button)));
    let found = found.ok_or_else(|| format!("there is no button {button:?} in {message}"))?;
    Ok(found["callback_data"].as_str().unwrap_or_default().to_owned())
}

impl Fake {
    /// The bot's answer to a press.
    pub async fn pressed(&self, press: &str) -> Json {
        self.until("the button is answered", |state| state.pressed[press].answer.clone()).await
    }

    /// Wait until the bot's reply to a message shows a finished image.
    pub async fn image(&self, chat: i64, message: i64) -> Json {
        self.until("an image", |state| state.reply_to(chat, message).filter(is_finished)).await
    }
}

/// Whether a message shows a finished image: a photo with buttons that do not stop it.
pub fn is_finished(message: &Json) -> bool {
    let first = &message["reply_markup"]["inline_keyboard"][0];
    message["photo"].is_array() && first.as_array().is_some_and(|buttons| buttons.len() == 2)
}
