//! What all parts of the bot share: its clients, its file, and what is under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::chats::Place;
use super::error::{ServerError, TelegramError};
use super::feed::Feed;
use super::notes::Notes;
use super::options::BotOptions;
use super::server::{Capabilities, Job, Server, Style};
use super::telegram::Telegram;
use super::text::{Language, Phrase};
use super::types::{Message, User};

/// How long the server's choices are taken for current.
const CHOICES_KEPT: Duration = Duration::from_mins(5);
/// Longest pause between two attempts at the server.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The bot.
#[derive(Debug)]
pub(super) struct Bot {
    pub options: BotOptions,
    pub telegram: Telegram,
    pub server: Server,
    pub notes: Notes,
    pub feed: Feed,
    /// The bot's own account.
    pub me: User,
    /// Canceled when the process is asked to stop.
    pub stopping: CancellationToken,
    /// What must come to an end before the process ends.
    pub tasks: TaskTracker,
    /// Held while it is decided whether a request is accepted.
    pub admission: tokio::sync::Mutex<()>,
    open: Mutex<HashMap<i64, OpenAnswer>>,
    users: Mutex<HashMap<i64, Arc<Semaphore>>>,
    choices: tokio::sync::Mutex<Option<(Instant, Choices)>>,
}

/// An answer under way.
#[derive(Debug, Clone)]
struct OpenAnswer {
    user: i64,
    chat: Option<i64>,
    stop: CancellationToken,
}

/// What the server offers.
#[derive(Debug, Clone)]
pub(super) struct Choices {
    pub styles: Vec<Style>,
    pub ratios: Vec<String>,
    pub max_images: u32,
    pub max_prompt_chars: usize,
    /// Names of the modes that the model has.
    pub modes: Vec<String>,
}

impl Choices {
    fn new(styles: Vec<Style>, capabilities: Capabilities) -> Self {
        let ratios = capabilities.sizes.aspect_ratios.into_iter().map(|ratio| ratio.name);
        let modes = capabilities.modes.into_iter().filter(|mode| mode.available).map(|mode| mode.mode);
        Self {
            styles,
            ratios: ratios.collect(),
            max_images: capabilities.limits.max_pictures,
            max_prompt_chars: capabilities.limits.max_prompt_chars,
            modes: modes.collect(),
        }
    }
}

impl Bot {
    pub fn new(
        options: BotOptions,
        (telegram, server, notes): (Telegram, Server, Notes),
        me: User,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            options,
            telegram,
            server,
            notes,
            feed: Feed::default(),
            me,
            stopping,
            tasks: TaskTracker::new(),
            admission: tokio::sync::Mutex::default(),
            open: Mutex::default(),
            users: Mutex::default(),
            choices: tokio::sync::Mutex::default(),
        }
    }

    /// Whether this user, or every user in this chat, may use the bot.
    pub fn is_allowed(&self, user: i64, chat: Option<i64>) -> bool {
        let allowed = &self.options.allowed;
        allowed.is_empty() || allowed.contains(&user) || chat.is_some_and(|chat| allowed.contains(&chat))
    }

    /// What a user's images at once take turns with.
    pub fn turns_of(&self, user: i64) -> Arc<Semaphore> {
        let mut users = self.users.lock();
        users.retain(|id, turns| *id == user || Arc::strong_count(turns) > 1);
        users.entry(user).or_insert_with(|| Arc::new(Semaphore::new(self.options.concurrency))).clone()
    }

    /// An answer is under way: the token that stops it.
    pub fn open(&self, answer: i64, user: i64, place: &Place) -> CancellationToken {
        let stop = CancellationToken::new();
        let open = OpenAnswer { user, chat: place.chat(), stop: stop.clone() };
        self.open.lock().insert(answer, open);
        stop
    }

    pub fn close(&self, answer: i64) {
        self.open.lock().remove(&answer);
    }

    /// Number of a user's answers under way.
    pub fn open_count(&self, user: i64) -> usize {
        self.open.lock().values().filter(|open| open.user == user).count()
    }

    /// Answers of a user under way in a chat.
    pub fn open_in(&self, user: i64, chat: i64) -> Vec<i64> {
        let open = self.open.lock();
        let own = open.iter().filter(|(_, open)| open.user == user && open.chat == Some(chat));
        own.map(|(id, _)| *id).collect()
    }

    /// Whose answer this is, if it is under way.
    pub fn owner_of(&self, answer: i64) -> Option<i64> {
        self.open.lock().get(&answer).map(|open| open.user)
    }

    pub fn stop(&self, answer: i64) {
        if let Some(open) = self.open.lock().get(&answer) {
            open.stop.cancel();
        }
    }

    /// What the server offers; `None` if it cannot be asked now and was not before.
    pub async fn choices(&self) -> Option<Choices> {
        let mut kept = self.choices.lock().await;
        if let Some((read, choices)) = &*kept
            && read.elapsed() < CHOICES_KEPT
        {
            return Some(choices.clone());
        }
        let fresh = tokio::try_join!(self.server.styles(), self.server.capabilities());
        match fresh {
            Ok((styles, capabilities)) => *kept = Some((Instant::now(), Choices::new(styles, capabilities))),
            Err(error) => tracing::warn!(%error, "the server's styles and limits cannot be read"),
        }
        kept.as_ref().map(|(_, choices)| choices.clone())
    }

    /// Repeat a call of the server until it has decided. `None`: the process is to stop.
    async fn patiently<T, F>(&self, call: impl Fn(Server) -> F + Send) -> Option<Result<T, ServerError>>
    where
        F: Future<Output = Result<T, ServerError>> + Send,
    {
        let mut pause = Duration::from_millis(500);
        loop {
            let wait = match call(self.server.clone()).await {
                Err(ServerError::Unreachable(why)) => {
                    tracing::warn!(%why, "the server does not answer");
                    pause
                }
                Err(ServerError::Busy { after, .. }) => after.min(LONGEST_PAUSE),
                decided => return Some(decided),
            };
            pause = (pause * 2).min(LONGEST_PAUSE);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stopping.cancelled() => return None,
            }
        }
    }

    /// A job, as soon as the server can say it. `None`: the process is to stop.
    pub async fn job(&self, id: Uuid) -> Option<Result<Job, ServerError>> {
        self.patiently(move |server| async move { server.job(id).await }).await
    }

    /// Cancel a job, as soon as the server can. `None`: the process is to stop.
    pub async fn cancel(&self, id: Uuid) -> Option<Result<Job, ServerError>> {
        self.patiently(move |server| async move { server.cancel(id).await }).await
    }

    /// The file of an image, as soon as the server gives it. `None`: the process is to stop.
    pub async fn image(&self, job: Uuid, index: u32, width: Option<u32>) -> Option<Result<Vec<u8>, ServerError>> {
        self.patiently(move |server| async move { server.image(job, index, width).await }).await
    }

    /// Send a text.
    pub async fn say(&self, place: &Place, text: &str, markup: Option<Json>) -> Result<Message, TelegramError> {
        let mut body = place.to_send();
        body["text"] = json!(text);
        body["link_preview_options"] = json!({"is_disabled": true});
        body["reply_markup"] = json!(markup);
        self.telegram.call("sendMessage", body, &[]).await
    }

    /// Send a phrase; what keeps it from being sent is noted in the log alone.
    pub async fn say_phrase(&self, place: &Place, language: Language, phrase: &Phrase<'_>) {
        if let Err(error) = self.say(place, &language.say(phrase), None).await {
            tracing::info!(%error, "a message cannot be sent");
        }
    }

    /// Answer a pressed button, at once and once: Telegram waits for it a few seconds only.
    pub async fn acknowledge(&self, query: &str, text: Option<&str>, is_alert: bool) {
        let body = json!({"callback_query_id": query, "text": text, "show_alert": is_alert.then_some(true)});
        if let Err(error) = self.telegram.try_call::<bool>("answerCallbackQuery", &body).await {
            tracing::debug!(%error, "a button cannot be answered");
        }
    }
}
