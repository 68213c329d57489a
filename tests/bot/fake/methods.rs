//! What each method does.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::schema::{Call, check_markup, length};
use super::state::{Failure, State};
use super::{Fake, TOKEN};

pub const CONFLICT: &str =
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
const WEBHOOK_IS_SET: &str =
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
const NOT_MODIFIED: &str = "Bad Request: message is not modified: specified new message content and reply markup are \
                            exactly the same as a current content and reply markup of the message";
/// How long a pressed button, or an inline query, can be answered.
const QUERY_LIFETIME: Duration = Duration::from_secs(10);
const MOST_PHOTO_BYTES: usize = 10 << 20;
const MOST_DOCUMENT_BYTES: usize = 50 << 20;
const MOST_DOWNLOAD_BYTES: usize = 20 << 20;

fn bad(why: &str) -> String {
    format!("Bad Request: {why}")
}

/// Wait for updates; those before the offset are confirmed.
pub async fn get_updates(fake: &Fake, call: &Call) -> Result<Json, Failure> {
    let (offset, wait) = (call.int("offset").unwrap_or(0), call.int("timeout").unwrap_or(0));
    let most = usize::try_from(call.int("limit").unwrap_or(100)).unwrap_or(100);
    let mut changes = fake.changes();
    let poll = fake.with(|state| {
        if state.webhook.is_some() {
            return Err(Failure::new(409, WEBHOOK_IS_SET));
        }
        if let Some(allowed) = call.fields.get("allowed_updates").and_then(Json::as_array) {
            state.allowed = allowed.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        }
        state.updates.retain(|(id, _)| *id >= offset);
        state.poll += 1;
        Ok(state.poll)
    })?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(wait.unsigned_abs());
    loop {
        let found = fake.look(|state| {
            if state.poll != poll {
                return Err(Failure::new(409, CONFLICT));
            }
            Ok(state.updates.iter().take(most).map(|(_, update)| update.clone()).collect::<Vec<_>>())
        })?;
        if !found.is_empty() {
            return Ok(json!(found));
        }
        if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
            return Ok(json!([]));
        }
    }
}

/// Send updates to the webhook, one after the other, each until it is taken.
pub async fn call_webhook(fake: Fake) {
    let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
    let mut changes = fake.changes();
    loop {
        let next = fake.look(|state| Some((state.webhook.clone()?, state.updates.front().cloned()?)));
        let Some(((url, secret), (id, update))) = next else {
            changes.changed().await.unwrap();
            continue;
        };
        let mut request = client.post(url).json(&update);
        if let Some(secret) = secret {
            request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
        }
        match request.send().await {
            Ok(response) if response.status().is_success() => {
                fake.with(|state| state.updates.retain(|(other, _)| *other != id));
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

impl State {
    /// Do what a checked call asks for.
    pub fn carry_out(&mut self, method: &str, call: &Call) -> Result<Json, String> {
        if let Some(markup) = call.fields.get("reply_markup") {
            check_markup(markup)?;
        }
        match method {
            "getMe" => {
                let mut me = Self::bot();
                me["can_join_groups"] = json!(true);
                me["can_read_all_group_messages"] = json!(false);
                me["supports_inline_queries"] = json!(true);
                Ok(me)
            }
            "setWebhook" => {
                let url = call.text("url").unwrap_or_default();
                // As a Bot API server of one's own, this one takes addresses without TLS.
                self.webhook =
                    (!url.is_empty()).then(|| (url.to_owned(), call.text("secret_token").map(str::to_owned)));
                if let Some(allowed) = call.fields.get("allowed_updates").and_then(Json::as_array) {
                    self.allowed = allowed.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
                }
                Ok(json!(true))
            }
            "deleteWebhook" => {
                self.webhook = None;
                if call.flag("drop_pending_updates") {
                    self.updates.clear();
                }
                Ok(json!(true))
            }
            "sendMessage" => {
                let text = checked_text(call.text("text"))?;
                self.send(call, &json!({"text": text}))
            }
            "sendPhoto" => {
                let content = self.photo_content(call, call.text("photo"), "photo", call.fields.get("caption"))?;
                self.send(call, &spoiled(content, call.flag("has_spoiler")))
            }
            "sendDocument" => {
                let bytes = self.uploaded(call, call.text("document"), "document")?;
                if bytes.len() > MOST_DOCUMENT_BYTES {
                    return Err("Request Entity Too Large".to_owned());
                }
                let size = bytes.len();
                let id = self.add_file(bytes, "documents");
                let document =
                    json!({"file_id": id, "file_unique_id": id, "file_size": size, "mime_type": "image/png"});
                self.send(call, &json!({"document": document}))
            }
            "sendMediaGroup" => self.send_album(call),
            "editMessageText" => {
                let text = checked_text(call.text("text"))?;
                self.edit(call, |message| {
                    let has_text = message["text"].is_string();
                    if !has_text {
                        return Err(bad("there is no text in the message to edit"));
                    }
                    Ok(with(message, &json!({"text": text})))
                })
            }
            "editMessageCaption" => {
                let caption = checked_caption(call.fields.get("caption"))?;
                self.edit(call, |message| {
                    if message["photo"].is_null() && message["document"].is_null() {
                        return Err(bad("there is no caption in the message to edit"));
                    }
                    Ok(with(message, &json!({"caption": caption})))
                })
            }
            "editMessageMedia" => {
                let media = call.fields["media"].clone();
                check_media(&media)?;
                let is_inline = call.text("inline_message_id").is_some();
                let reference = media["media"].as_str();
                if is_inline && reference.is_none_or(|reference| reference.starts_with("attach://")) {
                    return Err(bad("can't upload a new file in an inline message; use its file_id or an URL"));
                }
                let content = self.photo_content(call, reference, "", media.get("caption"))?;
                let content = spoiled(content, media["has_spoiler"] == true);
                self.edit(call, |message| {
                    let mut message = message.clone();
                    for gone in ["text", "caption", "photo", "has_media_spoiler"] {
                        message.as_object_mut().unwrap().remove(gone);
                    }
                    Ok(with(&message, &content))
                })
            }
            "editMessageReplyMarkup" => self.edit(call, |message| Ok(message.clone())),
            "deleteMessage" => {
                let key = (call.int("chat_id").unwrap(), call.int("message_id").unwrap());
                match self.messages.remove(&key) {
                    Some(_) => Ok(json!(true)),
                    None => Err(bad("message to delete not found")),
                }
            }
            "sendChatAction" => match call.text("action") {
                Some("typing" | "upload_photo" | "upload_document") => Ok(json!(true)),
                _ => Err(bad("wrong parameter action in request")),
            },
            "setMessageReaction" => self.react(call),
            "answerCallbackQuery" => self.answer_button(call),
            "answerInlineQuery" => self.answer_inline(call),
            "getFile" => {
                let id = call.text("file_id").unwrap_or_default();
                let whole = id.strip_suffix("-small").unwrap_or(id);
                let file = self.files.get(whole).ok_or_else(|| bad("invalid file_id"))?;
                if file.bytes.len() > MOST_DOWNLOAD_BYTES {
                    return Err(bad("file is too big"));
                }
                Ok(
                    json!({"file_id": id, "file_unique_id": whole, "file_size": file.bytes.len(), "file_path": file.path}),
                )
            }
            "getChatMember" => {
                let user = call.int("user_id").unwrap();
                let account = self.users.get(&user).ok_or_else(|| bad("user not found"))?;
                if !self.administrators.contains(&user) {
                    return Ok(json!({"status": "member", "user": account}));
                }
                Ok(json!({"status": "creator", "user": account, "is_anonymous": false}))
            }
            "setMyCommands" => self.set_commands(call),
            "setMyDescription" => {
                if length(call.text("description").unwrap_or_default()) > 512 {
                    return Err(bad("description is too long"));
                }
                Ok(json!(true))
            }
            _ => Err(bad("method not implemented")),
        }
    }

    /// A new message of the bot.
    fn send(&mut self, call: &Call, content: &Json) -> Result<Json, String> {
        let chat = call.int("chat_id").unwrap();
        let id = self.next_message();
        let mut message = with(
            &json!({"message_id": id, "from": Self::bot(), "chat": self.chats[&chat], "date": 1_700_000_000 + id}),
            content,
        );
        if let Some(topic) = call.int("message_thread_id") {
            message["message_thread_id"] = json!(topic);
            message["is_topic_message"] = json!(true);
        }
        if let Some(reply) = call.fields.get("reply_parameters") {
            let known = ["message_id", "chat_id", "allow_sending_without_reply", "quote"];
            if reply.as_object().is_none_or(|reply| reply.keys().any(|key| !known.contains(&key.as_str()))) {
                return Err(bad("unknown field in reply parameters"));
            }
            match self.messages.get(&(chat, reply["message_id"].as_i64().unwrap_or_default())) {
                Some(replied) => {
                    let mut replied = replied.clone();
                    replied.as_object_mut().unwrap().remove("reply_to_message");
                    message["reply_to_message"] = replied;
                }
                None if reply["allow_sending_without_reply"] == true => {}
                None => return Err(bad("message to be replied not found")),
            }
        }
        if let Some(markup) = call.fields.get("reply_markup").filter(|markup| markup["inline_keyboard"].is_array()) {
            message["reply_markup"] = markup.clone();
        }
        self.messages.insert((chat, id), message.clone());
        Ok(message)
    }

    fn send_album(&mut self, call: &Call) -> Result<Json, String> {
        let items = call.fields["media"].as_array().cloned().unwrap_or_default();
        if !(2..=10).contains(&items.len()) {
            return Err(bad("must be 2-10 items in the media group"));
        }
        let group = self.number().to_string();
        let mut messages = Vec::new();
        for item in &items {
            check_media(item)?;
            let mut content = self.photo_content(call, item["media"].as_str(), "", item.get("caption"))?;
            content["media_group_id"] = json!(group);
            messages.push(self.send(call, &spoiled(content, item["has_spoiler"] == true))?);
        }
        Ok(json!(messages))
    }

    /// Change a message of the bot.
    fn edit(&mut self, call: &Call, change: impl FnOnce(&Json) -> Result<Json, String>) -> Result<Json, String> {
        let inline = call.text("inline_message_id").map(str::to_owned);
        let key = call.int("chat_id").zip(call.int("message_id"));
        let old = match (&inline, key) {
            (Some(id), None) => self.inline_messages.get(id).ok_or_else(|| bad("MESSAGE_ID_INVALID"))?,
            (None, Some(key)) => self.messages.get(&key).ok_or_else(|| bad("message to edit not found"))?,
            _ => return Err(bad("message identifier is not specified")),
        };
        if inline.is_none() && old["from"]["id"] != super::BOT {
            return Err(bad("message can't be edited"));
        }
        let mut new = change(old)?;
        // Without a keyboard in the call, there is none afterwards.
        new.as_object_mut().unwrap().remove("reply_markup");
        if let Some(markup) = call.fields.get("reply_markup") {
            new["reply_markup"] = markup.clone();
        }
        if new == *old {
            return Err(NOT_MODIFIED.to_owned());
        }
        match (inline, key) {
            (Some(id), _) => {
                self.inline_messages.insert(id, new);
                Ok(json!(true))
            }
            (None, Some(key)) => {
                new["edit_date"] = json!(1_700_000_001);
                self.messages.insert(key, new.clone());
                Ok(new)
            }
            (None, None) => unreachable!(),
        }
    }

    /// The bytes that a call brings for a file.
    fn uploaded(&self, call: &Call, reference: Option<&str>, field: &str) -> Result<Vec<u8>, String> {
        if let Some(bytes) = call.file(field) {
            return Ok(bytes.to_vec());
        }
        let reference = reference.unwrap_or_default();
        if let Some(name) = reference.strip_prefix("attach://") {
            return call.file(name).map(<[u8]>::to_vec).ok_or_else(|| bad("wrong attach:// name in the media"));
        }
        let file = self.files.get(reference).ok_or_else(|| bad("wrong file identifier/HTTP URL specified"))?;
        Ok(file.bytes.clone())
    }

    fn photo_content(
        &mut self,
        call: &Call,
        reference: Option<&str>,
        field: &str,
        caption: Option<&Json>,
    ) -> Result<Json, String> {
        let caption = checked_caption(caption)?;
        let known = reference.filter(|reference| self.files.contains_key(*reference)).map(str::to_owned);
        let id = if let Some(id) = known {
            id
        } else {
            let bytes = self.uploaded(call, reference, field)?;
            if bytes.len() > MOST_PHOTO_BYTES {
                return Err(bad("file of size is too big for a photo; the maximum size is 10485760 bytes"));
            }
            let image = image::load_from_memory(&bytes).map_err(|_| bad("IMAGE_PROCESS_FAILED"))?;
            let (width, height) = (image.width(), image.height());
            if width + height > 10_000 || width.max(height) > 20 * width.min(height) {
                return Err(bad("PHOTO_INVALID_DIMENSIONS"));
            }
            self.add_file(bytes, "photos")
        };
        let mut content = json!({"photo": self.photo(&id)});
        if let Some(caption) = caption {
            content["caption"] = json!(caption);
        }
        Ok(content)
    }

    fn react(&mut self, call: &Call) -> Result<Json, String> {
        let key = (call.int("chat_id").unwrap(), call.int("message_id").unwrap());
        if !self.messages.contains_key(&key) {
            return Err(bad("message to react not found"));
        }
        // Some of the emoji that bots may react with.
        let known = ["👀", "👍", "👎", "❤", "🔥", "🤔", "🎉", "👌"];
        let reaction = call.fields.get("reaction").cloned().unwrap_or_default();
        let good = |item: &Json| item["type"] == "emoji" && known.iter().any(|emoji| item["emoji"] == *emoji);
        if !reaction.as_array().is_some_and(|items| items.len() <= 1 && items.iter().all(good)) {
            return Err(bad("REACTION_INVALID"));
        }
        self.reactions.insert(key, reaction);
        Ok(json!(true))
    }

    fn answer_button(&mut self, call: &Call) -> Result<Json, String> {
        let id = call.text("callback_query_id").unwrap_or_default();
        if length(call.text("text").unwrap_or_default()) > 200 {
            return Err(bad("MESSAGE_TOO_LONG"));
        }
        let too_old = bad("query is too old and response timeout expired or query ID is invalid");
        let pressed = self.pressed.get_mut(id).ok_or_else(|| too_old.clone())?;
        if pressed.answer.is_some() || pressed.at.elapsed() > QUERY_LIFETIME {
            return Err(too_old);
        }
        pressed.answer = Some(json!({"text": call.text("text"), "alert": call.flag("show_alert"), "at_ms":
            u64::try_from(Instant::now().duration_since(pressed.at).as_millis()).unwrap()}));
        Ok(json!(true))
    }

    fn answer_inline(&mut self, call: &Call) -> Result<Json, String> {
        let id = call.text("inline_query_id").unwrap_or_default().to_owned();
        let results = call.fields["results"].as_array().cloned().unwrap_or_default();
        if results.len() > 50 {
            return Err(bad("RESULTS_TOO_MUCH"));
        }
        let mut ids = HashSet::new();
        for result in &results {
            let result_id = result["id"].as_str().unwrap_or_default();
            if result_id.is_empty() || result_id.len() > 64 || !ids.insert(result_id) {
                return Err(bad("RESULT_ID_INVALID"));
            }
            if let Some(markup) = result.get("reply_markup") {
                check_markup(markup)?;
            }
            let known: &[&str] = match result["type"].as_str() {
                Some("article") => {
                    if result["title"].as_str().is_none_or(str::is_empty) {
                        return Err(bad("ARTICLE_TITLE_EMPTY"));
                    }
                    checked_text(result["input_message_content"]["message_text"].as_str())?;
                    &["type", "id", "title", "description", "input_message_content", "reply_markup"]
                }
                Some("photo") => {
                    if !result["photo_file_id"].as_str().is_some_and(|file| self.files.contains_key(file)) {
                        return Err(bad("wrong file identifier/HTTP URL specified"));
                    }
                    &["type", "id", "photo_file_id", "title", "caption", "reply_markup"]
                }
                _ => return Err(bad("can't parse inline query result")),
            };
            if let Some(key) =
                result.as_object().and_then(|result| result.keys().find(|key| !known.contains(&key.as_str())))
            {
                return Err(bad(&format!("unknown field {key} in an inline query result")));
            }
        }
        let query =
            self.inline_queries.get_mut(&id).ok_or_else(|| bad("query is too old and response timeout expired"))?;
        *query = Some(json!(results));
        Ok(json!(true))
    }

    fn set_commands(&mut self, call: &Call) -> Result<Json, String> {
        for command in call.fields["commands"].as_array().into_iter().flatten() {
            let name = command["command"].as_str().unwrap_or_default();
            let is_name = (1..=32).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !is_name || !(1..=256).contains(&length(command["description"].as_str().unwrap_or_default())) {
                return Err(bad("BOT_COMMAND_INVALID"));
            }
        }
        let language = call.text("language_code").unwrap_or_default().to_owned();
        self.commands.insert(language, call.fields["commands"].clone());
        Ok(json!(true))
    }
}

fn with(message: &Json, more: &Json) -> Json {
    let mut message = message.clone();
    for (name, value) in more.as_object().into_iter().flatten() {
        message[name] = value.clone();
    }
    message
}

fn spoiled(content: Json, has_spoiler: bool) -> Json {
    if has_spoiler { with(&content, &json!({"has_media_spoiler": true})) } else { content }
}

fn checked_text(text: Option<&str>) -> Result<String, String> {
    let text = text.unwrap_or_default().trim();
    match length(text) {
        0 => Err(bad("message text is empty")),
        1..=4096 => Ok(text.to_owned()),
        _ => Err(bad("message is too long")),
    }
}

fn checked_caption(caption: Option<&Json>) -> Result<Option<String>, String> {
    let caption = caption.and_then(Json::as_str).map(str::trim).filter(|caption| !caption.is_empty());
    match caption {
        Some(caption) if length(caption) > 1024 => Err(bad("message caption is too long")),
        caption => Ok(caption.map(str::to_owned)),
    }
}

/// An `InputMediaPhoto`.
fn check_media(media: &Json) -> Result<(), String> {
    let known = ["type", "media", "caption", "parse_mode", "has_spoiler", "show_caption_above_media"];
    let object = media.as_object().ok_or_else(|| bad("can't parse InputMedia: object expected"))?;
    if let Some(key) = object.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(bad(&format!("unknown field {key} in InputMedia")));
    }
    if media["type"] != "photo" || !media["media"].is_string() {
        return Err(bad("can't parse InputMedia: a photo with its media is expected"));
    }
    Ok(())
}

/// For what must not be seen anywhere.
pub fn secret_of_token() -> &'static str {
    TOKEN.split_once(':').unwrap().1
}
