//! Chats, messages, files and updates.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::BOT;
use super::limits::Limits;
use super::schema::{Call, Method};

/// Why a call fails.
#[derive(Debug, Clone)]
pub struct Failure {
    pub code: u16,
    pub description: String,
    pub retry_after: Option<u64>,
}

impl Failure {
    pub fn new(code: u16, description: impl Into<String>) -> Self {
        Self { code, description: description.into(), retry_after: None }
    }

    pub fn flood(seconds: u64) -> Self {
        let description = format!("Too Many Requests: retry after {seconds}");
        Self { code: 429, description, retry_after: Some(seconds) }
    }
}

/// Something that goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// 429 with these seconds.
    Flood(u64),
    BadGateway,
    /// The connection breaks before anything is done.
    Reset,
    Conflict,
    /// The token is not known any more.
    Unauthorized,
    /// It takes this long.
    Slow(Duration),
}

/// A file.
#[derive(Debug, Clone)]
pub struct File {
    pub path: String,
    pub bytes: Vec<u8>,
    pub width: u32,
    pub height: u32,
}

/// A pressed button.
#[derive(Debug, Clone)]
pub struct Pressed {
    pub at: Instant,
    pub answer: Option<Json>,
}

/// One call, as it was made.
#[derive(Debug, Clone)]
pub struct Logged {
    pub method: &'static str,
    pub fields: Json,
    pub error: Option<String>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct State {
    pub users: HashMap<i64, Json>,
    pub chats: HashMap<i64, Json>,
    /// Users who have blocked the bot, and groups that have thrown it out.
    pub blocked: Vec<i64>,
    pub administrators: Vec<i64>,
    pub messages: BTreeMap<(i64, i64), Json>,
    pub inline_messages: BTreeMap<String, Json>,
    pub reactions: BTreeMap<(i64, i64), Json>,
    pub files: HashMap<String, File>,
    pub updates: VecDeque<(i64, Json)>,
    pub pressed: BTreeMap<String, Pressed>,
    pub inline_queries: BTreeMap<String, Option<Json>>,
    pub commands: BTreeMap<String, Json>,
    pub webhook: Option<(String, Option<String>)>,
    pub allowed: Vec<String>,
    pub faults: Vec<(String, Fault)>,
    pub calls: Vec<Logged>,
    /// Calls that no bot should make.
    pub refusals: Vec<String>,
    /// Times that the bot went beyond a limit.
    pub floods: usize,
    pub injected_floods: usize,
    /// The number of the latest question for updates; earlier ones are over.
    pub poll: u64,
    pub limits: Limits,
    numbers: i64,
}

impl State {
    pub fn number(&mut self) -> i64 {
        self.numbers += 1;
        self.numbers
    }

    pub fn next_message(&mut self) -> i64 {
        100 + self.number()
    }

    pub fn take_fault(&mut self, method: &str) -> Option<Fault> {
        let at = self.faults.iter().position(|(name, _)| name == method)?;
        Some(self.faults.remove(at).1)
    }

    pub fn bot() -> Json {
        json!({"id": BOT, "is_bot": true, "first_name": "Kandinsky", "username": "kandinsky_test_bot"})
    }

    /// Add an update of a kind that the bot wants.
    pub fn push_update(&mut self, kind: &str, value: &Json) -> i64 {
        let id = 50_000 + self.number();
        // What is not asked for by name is left out; these two are always sent.
        let is_usual = matches!(kind, "message" | "callback_query");
        if is_usual || self.allowed.iter().any(|allowed| allowed == kind) {
            self.updates.push_back((id, json!({"update_id": id, kind: value})));
        }
        id
    }

    /// Keep a file; its id.
    pub fn add_file(&mut self, bytes: Vec<u8>, folder: &str) -> String {
        let number = self.number();
        let size = image::load_from_memory(&bytes).map(|image| (image.width(), image.height()));
        let (width, height) = size.unwrap_or((0, 0));
        let (id, path) = (format!("AgACAgIAAxk-file-{number}"), format!("{folder}/file_{number}.jpg"));
        self.files.insert(id.clone(), File { path, bytes, width, height });
        id
    }

    /// A photo as messages have it: a small size and the whole.
    pub fn photo(&self, id: &str) -> Json {
        let File { width, height, bytes, .. } = &self.files[id];
        let size = |id: String, width: u32, height: u32| {
            json!({"file_id": id, "file_unique_id": format!("u{}", id.len()), "width": width, "height": height,
                   "file_size": bytes.len()})
        };
        json!([
            size(format!("{id}-small"), width.div_ceil(2), height.div_ceil(2)),
            size(id.to_owned(), *width, *height)
        ])
    }

    pub fn log(&mut self, method: &'static str, call: &Call, outcome: &Result<Json, Failure>) {
        let error = outcome.as_ref().err().map(|failure| failure.description.clone());
        self.calls.push(Logged { method, fields: Json::Object(call.fields.clone()), error });
    }

    /// Number of calls of a method that were taken.
    pub fn count(&self, method: &str) -> usize {
        self.calls.iter().filter(|call| call.method == method && call.error.is_none()).count()
    }

    /// Messages of the bot in a chat, oldest first.
    pub fn of_bot(&self, chat: i64) -> Vec<Json> {
        let of_chat = self.messages.range((chat, 0)..(chat, i64::MAX));
        of_chat.map(|(_, message)| message.clone()).filter(|message| message["from"]["id"] == BOT).collect()
    }

    /// The bot's message that replies to this one.
    pub fn reply_to(&self, chat: i64, message: i64) -> Option<Json> {
        self.of_bot(chat).into_iter().find(|reply| reply["reply_to_message"]["message_id"] == message)
    }

    /// What happened, for the message of a test that fails.
    pub fn transcript(&self) -> String {
        let mut text = String::new();
        for ((chat, id), message) in &self.messages {
            let from = if message["from"]["id"] == BOT { "bot" } else { "user" };
            let words = message["text"].as_str().or(message["caption"].as_str()).unwrap_or_default();
            let photo = if message["photo"].is_array() { "[photo] " } else { "" };
            let _ = writeln!(text, "{chat}/{id} {from}: {photo}{words:?}");
        }
        for call in self.calls.iter().rev().take(20).rev() {
            let fields: String = call.fields.to_string().chars().take(200).collect();
            let _ = writeln!(text, "{} {fields} {:?}", call.method, call.error);
        }
        text
    }

    /// The answer to a call that is not a question for updates.
    pub fn call(&mut self, method: &Method, call: &Call) -> Result<Json, Failure> {
        if let Some(chat) = call.int("chat_id") {
            if !self.chats.contains_key(&chat) {
                return Err(Failure::new(400, "Bad Request: chat not found"));
            }
            if self.blocked.contains(&chat) {
                let why = if chat > 0 { "bot was blocked by the user" } else { "bot was kicked from the group chat" };
                return Err(Failure::new(403, format!("Forbidden: {why}")));
            }
            if method.is_message {
                let messages = call.fields.get("media").and_then(Json::as_array).map_or(1, Vec::len);
                if let Err(seconds) = self.limits.count(chat, messages) {
                    self.floods += 1;
                    return Err(Failure::flood(seconds));
                }
            }
        }
        self.carry_out(method.name, call).map_err(|why| {
            let is_usual = [
                "message is not modified",
                "query is too old",
                "there is no text in the message to edit",
                "message to edit not found",
                "message can't be edited",
                "message to delete not found",
            ];
            if !is_usual.iter().any(|usual| why.contains(usual)) {
                self.refusals.push(format!("{}: {why}", method.name));
            }
            Failure::new(400, why)
        })
    }
}
