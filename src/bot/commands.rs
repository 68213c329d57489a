//! Commands that draw nothing.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::buttons::{chat_ratio_menu, chat_style_menu, language_menu};
use super::chats::Place;
use super::context::Bot;
use super::message_flow::Command;
use super::text::{Language, Phrase};
use super::types::{ChatMember, Message};

/// Carry out a command of a message.
pub(super) async fn run(bot: &Arc<Bot>, command: Command, message: &Message, language: Language) -> sqlx::Result<()> {
    let reply = Reply { bot, place: Place::below(message), language };
    let user = message.sender().unwrap_or_default();
    match command {
        Command::Help => {
            let name = bot.me.username.as_deref().unwrap_or_default();
            reply.say(&Phrase::Help { name, is_group: !message.chat.is_private() }).await;
        }
        Command::Style => match bot.choices().await {
            Some(choices) => reply.menu(&Phrase::ChooseStyle, chat_style_menu(language, &choices.styles)).await,
            None => reply.say(&Phrase::ServerAway).await,
        },
        Command::Ratio => match bot.choices().await {
            Some(choices) => reply.menu(&Phrase::ChooseRatio, chat_ratio_menu(language, &choices.ratios)).await,
            None => reply.say(&Phrase::ServerAway).await,
        },
        Command::Language => reply.menu(&Phrase::ChooseLanguage, language_menu()).await,
        Command::Stop => {
            let open = bot.open_in(user, message.chat.id);
            for answer in &open {
                bot.notes.stop_answer(*answer).await?;
                bot.stop(*answer);
            }
            reply.say(if open.is_empty() { &Phrase::NothingToStop } else { &Phrase::StopRequested }).await;
        }
        Command::Inpaint => reply.say(&Phrase::Editor(&bot.options.editor_url)).await,
        Command::Mute | Command::Unmute => {
            if !message.is_anonymous() && !is_administrator(bot, message.chat.id, user).await {
                reply.say(&Phrase::AdministratorsOnly).await;
                return Ok(());
            }
            let is_muted = command == Command::Mute;
            let mut chat = bot.notes.chat(message.chat.id).await?;
            chat.is_muted = is_muted;
            bot.notes.set_chat(message.chat.id, &chat).await?;
            reply.say(if is_muted { &Phrase::Muted } else { &Phrase::Unmuted }).await;
        }
    }
    Ok(())
}

/// Answers below the command.
struct Reply<'a> {
    bot: &'a Bot,
    place: Place,
    language: Language,
}

impl Reply<'_> {
    async fn say(&self, phrase: &Phrase<'_>) {
        self.bot.say_phrase(&self.place, self.language, phrase).await;
    }

    async fn menu(&self, phrase: &Phrase<'_>, keyboard: Json) {
        if let Err(error) = self.bot.say(&self.place, &self.language.say(phrase), Some(keyboard)).await {
            tracing::info!(%error, "a message cannot be sent");
        }
    }
}

pub(super) async fn is_administrator(bot: &Bot, chat: i64, user: i64) -> bool {
    let body = json!({"chat_id": chat, "user_id": user});
    match bot.telegram.try_call::<ChatMember>("getChatMember", &body).await {
        Ok(member) => matches!(member.status.as_str(), "creator" | "administrator"),
        Err(error) => {
            tracing::info!(%error, "it cannot be known who is an administrator");
            false
        }
    }
}
