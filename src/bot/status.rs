//! The message that shows how an answer is getting on.
//!
//! Invariant: it is edited no more often than the configured pause, and always to the newest state: what is overtaken is never
//! sent. An edit that Telegram does not want now is left out; the last one is not.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::buttons::stop_keyboard;
use super::chats::Place;
use super::context::Bot;
use super::error::TelegramError;
use super::feed::Seen;
use super::notes::Answer;
use super::text::Phrase;
use super::upload::Upload;

/// A field of a file.
const FILE: &str = "image";

/// The message of one answer.
#[derive(Debug)]
pub(super) struct Status {
    bot: Arc<Bot>,
    answer: Answer,
    /// What it shows: a text, and the number of a preview.
    shown: Shown,
    is_photo: bool,
    /// When it may be edited again.
    due: Instant,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shown {
    text: String,
    preview: Option<u32>,
}

impl Status {
    /// Of an answer that has a message.
    pub fn new(bot: &Arc<Bot>, answer: &Answer) -> Self {
        let due = Instant::now() + pause(bot, &answer.place);
        Self { bot: bot.clone(), answer: answer.clone(), shown: Shown::default(), is_photo: false, due }
    }

    /// When the message may be edited.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whether the message does not show this yet.
    pub fn is_behind(&self, seen: &Seen) -> bool {
        !self.wanted(seen).text.is_empty() && self.wanted(seen) != self.shown
    }

    fn wanted(&self, seen: &Seen) -> Shown {
        let phrase = match (seen.position, seen.percent) {
            (Some(ahead), _) => Phrase::Line(ahead),
            (None, Some(percent)) => Phrase::Drawing(percent),
            (None, None) => return Shown::default(),
        };
        // An inline message takes no files.
        let preview = seen.preview.as_ref().map(|(step, _)| *step).filter(|_| self.answer.place.chat().is_some());
        Shown { text: self.answer.language.say(&phrase), preview }
    }

    /// Show the newest state, if Telegram lets it be shown now.
    ///
    /// # Errors
    /// The chat cannot be written to any more.
    pub async fn update(&mut self, seen: &Seen) -> Result<(), TelegramError> {
        let wanted = self.wanted(seen);
        let preview =
            seen.preview.as_ref().filter(|_| wanted.preview.is_some() && wanted.preview != self.shown.preview);
        let outcome = match preview {
            Some((_, png)) => self.try_media(&wanted.text, png).await,
            None if self.is_photo => self.try_edit("editMessageCaption", "caption", &wanted.text).await,
            None => self.try_edit("editMessageText", "text", &wanted.text).await,
        };
        self.is_photo |= preview.is_some() && matches!(outcome, Ok(Some(_)));
        self.settle(outcome, wanted)
    }

    /// Show a phrase in place of the progress, if Telegram lets it be shown now.
    ///
    /// # Errors
    /// The chat cannot be written to any more.
    pub async fn note(&mut self, phrase: &Phrase<'_>) -> Result<(), TelegramError> {
        let wanted = Shown { text: self.answer.language.say(phrase), preview: self.shown.preview };
        if wanted == self.shown || Instant::now() < self.due {
            return Ok(());
        }
        let (method, field) =
            if self.is_photo { ("editMessageCaption", "caption") } else { ("editMessageText", "text") };
        let outcome = self.try_edit(method, field, &wanted.text).await;
        self.settle(outcome, wanted)
    }

    fn settle(&mut self, outcome: Result<Option<Json>, TelegramError>, wanted: Shown) -> Result<(), TelegramError> {
        let pause = pause(&self.bot, &self.answer.place);
        match outcome {
            Ok(Some(_)) => (self.shown, self.due) = (wanted, Instant::now() + pause),
            // Not the chat's turn.
            Ok(None) => self.due = Instant::now() + Duration::from_millis(500),
            Err(TelegramError::Flood(after)) => self.due = Instant::now() + after.max(pause),
            Err(error) if error.is_done_already() => (self.shown, self.due) = (wanted, Instant::now() + pause),
            // It was a photo before the process started.
            Err(error) if error.is_photo() => {
                self.is_photo = true;
                self.due = Instant::now() + pause;
            }
            Err(error @ TelegramError::Forbidden(_)) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "progress cannot be shown");
                self.due = Instant::now() + pause * 2;
            }
        }
        Ok(())
    }

    async fn try_edit(&self, method: &str, field: &str, text: &str) -> Result<Option<Json>, TelegramError> {
        let Some(mut body) = self.target() else { return Ok(None) };
        body[field] = json!(text);
        self.bot.telegram.call_if_possible(method, &body, &[]).await
    }

    async fn try_media(&self, caption: &str, png: &[u8]) -> Result<Option<Json>, TelegramError> {
        let Some(mut body) = self.target() else { return Ok(None) };
        body["media"] = json!({"type": "photo", "media": format!("attach://{FILE}"), "caption": caption});
        let uploads = [Upload::image(FILE, png.to_vec())];
        self.bot.telegram.call_if_possible("editMessageMedia", &body, &uploads).await
    }

    /// The message, with the button that stops the answer.
    fn target(&self) -> Option<Json> {
        let mut body = self.answer.place.to_edit(self.answer.message)?;
        body["reply_markup"] = stop_keyboard(self.answer.language, self.answer.id);
        Some(body)
    }
}

fn pause(bot: &Bot, place: &Place) -> Duration {
    match place.chat() {
        // Groups have negative ids.
        Some(chat) if chat < 0 => bot.options.group_edit_pause,
        _ => bot.options.edit_pause,
    }
}

/// Put a text in place of whatever the answer's message shows; send it if the message is gone.
///
/// # Errors
/// The chat cannot be written to.
pub(super) async fn finish_with_text(bot: &Bot, answer: &Answer, text: &str) -> Result<(), TelegramError> {
    if let Some(target) = answer.place.to_edit(answer.message) {
        for (method, field) in [("editMessageText", "text"), ("editMessageCaption", "caption")] {
            let mut body = target.clone();
            body[field] = json!(text);
            match bot.telegram.call::<Json>(method, body, &[]).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_done_already() => return Ok(()),
                Err(error) if error.is_photo() => {}
                Err(error) if error.is_message_gone() => break,
                Err(error) => return Err(error),
            }
        }
    }
    match answer.place {
        Place::Chat { .. } => bot.say(&answer.place, text, None).await.map(drop),
        Place::Inline { .. } => Ok(()),
    }
}
