//! From an update to what is done about it.
//!
//! Invariant: an update is finished when its answer is open or said, and not before; those that were left unfinished are dispatched
//! again at the next start.

use std::sync::Arc;

use serde_json::json;

use super::album::Albums;
use super::answer::{begin, message_key};
use super::buttons::ask_keyboard;
use super::chats::{Chat, Place};
use super::context::Bot;
use super::drawing::{Drawing, Source};
use super::message_flow::{Command, Plan, plan};
use super::notes::NewAnswer;
use super::text::{Language, Phrase};
use super::types::{Message, Update};
use super::{callbacks, commands, inline};

/// Steps between two previews.
const PREVIEW_INTERVAL: u32 = 5;

/// Takes updates in.
#[derive(Debug)]
pub(super) struct Dispatcher {
    bot: Arc<Bot>,
    albums: Arc<Albums>,
}

impl Dispatcher {
    pub fn new(bot: Arc<Bot>) -> Self {
        Self { bot, albums: Arc::default() }
    }

    /// Note updates, and deal with those that are new. After this Telegram may forget them.
    pub async fn receive(&self, updates: Vec<Update>) -> sqlx::Result<()> {
        for update in self.bot.notes.receive(updates).await? {
            self.dispatch(update).await?;
        }
        Ok(())
    }

    /// Deal with an update that is noted.
    pub async fn dispatch(&self, update: Update) -> sqlx::Result<()> {
        let id = update.update_id;
        let bot = self.bot.clone();
        if let Some(message) = update.message {
            let Some(group) = message.media_group_id.clone() else {
                self.bot.tasks.spawn(async move { settled(&bot, vec![id], handle(&bot, vec![message])).await });
                return Ok(());
            };
            if bot.notes.is_album_done(&group).await? {
                return bot.notes.finish_update(id).await;
            }
            if self.albums.add(&group, id, message) {
                let albums = self.albums.clone();
                self.bot.tasks.spawn(async move {
                    let items = tokio::select! {
                        items = albums.complete(&group) => items,
                        () = bot.stopping.cancelled() => return,
                    };
                    let (updates, messages) = items.into_iter().unzip();
                    let work = async {
                        // Items that came too late belong to what is answered.
                        if bot.notes.is_album_done(&group).await? { Ok(()) } else { handle(&bot, messages).await }
                    };
                    settled(&bot, updates, work).await;
                    albums.settle(&group);
                });
            }
        } else if let Some(query) = update.callback_query {
            self.bot
                .tasks
                .spawn(async move { settled(&bot, vec![id], Box::pin(callbacks::handle(&bot, query))).await });
        } else if let Some(query) = update.inline_query {
            self.bot.tasks.spawn(async move { settled(&bot, vec![id], inline::offer(&bot, query)).await });
        } else if let Some(result) = update.chosen_inline_result {
            self.bot.tasks.spawn(async move { settled(&bot, vec![id], inline::chosen(&bot, result)).await });
        } else {
            return bot.notes.finish_update(id).await;
        }
        Ok(())
    }
}

/// Do what updates ask for, and note that it is done.
async fn settled(bot: &Bot, updates: Vec<i64>, work: impl Future<Output = sqlx::Result<()>>) {
    let outcome: sqlx::Result<()> = async {
        work.await?;
        for update in updates {
            bot.notes.finish_update(update).await?;
        }
        Ok(())
    }
    .await;
    if let Err(error) = outcome {
        tracing::error!(%error, "the bot's file cannot be used");
    }
}

/// Deal with a message, or with an album.
async fn handle(bot: &Arc<Bot>, messages: Vec<Message>) -> sqlx::Result<()> {
    let Some(message) = messages.first() else { return Ok(()) };
    if let Some(chat) = message.migrate_to_chat_id {
        tracing::info!(
            from = message.chat.id,
            to = chat,
            "a group has another id now; bot.allowed may have to know it"
        );
        return bot.notes.move_chat(message.chat.id, chat).await;
    }
    let Some(sender) = message.sender() else { return Ok(()) };
    let plan = plan(&messages, replied_image(bot, message).await?, &bot.me);
    if plan == Plan::Nothing {
        return Ok(());
    }
    let (place, chat) = (Place::below(message), bot.notes.chat(message.chat.id).await?);
    let code = message.from.as_ref().and_then(|from| from.language_code.as_deref());
    let language = chat.language.unwrap_or_else(|| Language::of_code(code));
    if chat.is_muted && plan != Plan::Command(Command::Unmute) {
        return Ok(());
    }
    if !bot.is_allowed(sender, Some(message.chat.id)) {
        bot.say_phrase(&place, language, &Phrase::NotAllowed(sender)).await;
        return Ok(());
    }
    match plan {
        Plan::Nothing => {}
        Plan::Say(phrase) => bot.say_phrase(&place, language, &phrase).await,
        Plan::Command(command) => commands::run(bot, command, message, language).await?,
        Plan::Ask(source) => ask(bot, &place, language, &source).await?,
        Plan::Draw(drawing) => draw(bot, message, place, language, with_settings(drawing, chat)).await?,
        Plan::Variations(source) => {
            let drawing = Drawing { n: bot.options.variations, ..Drawing::of_images(vec![source], None) };
            draw(bot, message, place, language, with_settings(drawing, chat)).await?;
        }
    }
    Ok(())
}

/// The image that a message replies to: one that the bot made or asks about, or a photo.
async fn replied_image(bot: &Bot, message: &Message) -> sqlx::Result<Option<Source>> {
    let Some(replied) = &message.reply_to_message else { return Ok(None) };
    let known = bot.notes.image_of(message.chat.id, replied.message_id).await?;
    Ok(known.or_else(|| replied.image().map(|file| Source::File(file.to_owned()))))
}

fn with_settings(drawing: Drawing, chat: Chat) -> Drawing {
    Drawing { style: chat.style, ratio: chat.ratio, preview_interval: PREVIEW_INTERVAL, ..drawing }
}

async fn draw(
    bot: &Arc<Bot>,
    message: &Message,
    place: Place,
    language: Language,
    drawing: Drawing,
) -> sqlx::Result<()> {
    let user = message.sender().unwrap_or_default();
    let key = message_key(bot, &place);
    let new = NewAnswer { key, user, place: place.clone(), drawing, language, again: None };
    let admission = begin(bot, new).await?;
    match admission.refusal(bot) {
        Some(phrase) => bot.say_phrase(&place, language, &phrase).await,
        None => react(bot, message).await,
    }
    Ok(())
}

/// Show at once that a message was seen. Where reactions are off, that is no loss.
async fn react(bot: &Bot, message: &Message) {
    let body = json!({
        "chat_id": message.chat.id,
        "message_id": message.message_id,
        "reaction": [{"type": "emoji", "emoji": "👀"}],
    });
    if let Err(error) = bot.telegram.try_call::<bool>("setMessageReaction", &body).await {
        tracing::debug!(%error, "no reaction");
    }
}

async fn ask(bot: &Bot, place: &Place, language: Language, source: &Source) -> sqlx::Result<()> {
    let Some(chat) = place.chat() else { return Ok(()) };
    let ask = bot.notes.open_ask(chat, source).await?;
    match bot.say(place, &language.say(&Phrase::WhatToDo), Some(ask_keyboard(language, ask))).await {
        Ok(message) => bot.notes.set_ask_message(ask, message.message_id).await,
        Err(error) => {
            tracing::info!(%error, "a message cannot be sent");
            Ok(())
        }
    }
}
