//! Inline mode: `@bot prompt` in any chat.
//!
//! Invariant: nothing is drawn before the result was chosen. An inline message takes no files, so its image is sent to the storage
//! chat first.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::answer::{begin, message_key};
use super::buttons::waiting_keyboard;
use super::chats::Place;
use super::context::Bot;
use super::drawing::Drawing;
use super::notes::NewAnswer;
use super::text::{Language, Phrase, excerpt};
use super::types::{ChosenInlineResult, InlineQuery};

/// The id of the result that is drawn when it is chosen.
const DRAW: &str = "draw";

/// Offer to draw the query, and the user's latest images.
pub(super) async fn offer(bot: &Arc<Bot>, query: InlineQuery) -> sqlx::Result<()> {
    if bot.options.storage_chat.is_none() {
        return Ok(());
    }
    let language = Language::of_code(query.from.language_code.as_deref());
    let prompt = query.query.trim();
    let mut results: Vec<Json> = Vec::new();
    if bot.is_allowed(query.from.id, None) {
        if !prompt.is_empty() {
            results.push(json!({
                "type": "article",
                "id": DRAW,
                "title": language.say(&Phrase::InlineTitle),
                "description": excerpt(prompt, 200),
                "input_message_content": {"message_text": language.say(&Phrase::InlineWaiting(prompt))},
                "reply_markup": waiting_keyboard(),
            }));
        }
        let photos = bot.notes.photos(query.from.id).await?;
        let photo =
            |(i, file): (usize, &String)| json!({"type": "photo", "id": format!("photo{i}"), "photo_file_id": file});
        results.extend(photos.iter().enumerate().map(photo));
    }
    let body = json!({"inline_query_id": query.id, "results": results, "cache_time": 0, "is_personal": true});
    if let Err(error) = bot.telegram.try_call::<bool>("answerInlineQuery", &body).await {
        tracing::debug!(%error, "an inline query cannot be answered");
    }
    Ok(())
}

/// Draw what was chosen.
pub(super) async fn chosen(bot: &Arc<Bot>, result: ChosenInlineResult) -> sqlx::Result<()> {
    let Some(message) = result.inline_message_id.filter(|_| result.result_id == DRAW) else { return Ok(()) };
    if bot.options.storage_chat.is_none() || !bot.is_allowed(result.from.id, None) {
        return Ok(());
    }
    let language = Language::of_code(result.from.language_code.as_deref());
    let place = Place::Inline { message };
    let key = message_key(bot, &place);
    let drawing = Drawing::of_prompt(result.query.trim());
    let new = NewAnswer { key, user: result.from.id, place: place.clone(), drawing, language, again: None };
    let admission = begin(bot, new).await?;
    if let Some(phrase) = admission.refusal(bot)
        && let Some(mut body) = place.to_edit(None)
    {
        body["text"] = json!(language.say(&phrase));
        if let Err(error) = bot.telegram.call::<Json>("editMessageText", body, &[]).await {
            tracing::debug!(%error, "an inline message cannot be changed");
        }
    }
    Ok(())
}
