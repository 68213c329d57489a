//! Finished images on their way to a chat.
//!
//! Invariant: one image takes the place of the answer's message, so that delivering it twice shows it once; several are sent once as
//! an album, and then once with numbers; either is noted before anything else is done.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::buttons::{Made, image_keyboard, inline_keyboard, pick_keyboard};
use super::chats::Place;
use super::context::Bot;
use super::error::{ServerError, TelegramError};
use super::notes::{AlbumStage, Answer};
use super::server::{Image, Job};
use super::text::Phrase;
use super::types::Message;
use super::upload::Upload;

/// What Telegram takes as a photo: bytes, and px of both sides together.
const MOST_PHOTO_BYTES: usize = 10 << 20;
const MOST_PHOTO_SIDES: u32 = 10_000;
/// Widths of the copies of which the first that Telegram takes is sent instead, px.
const COPY_WIDTHS: [u32; 2] = [2048, 1024];

/// Why images were not delivered.
#[derive(Debug)]
pub(super) enum DeliveryError {
    /// The chat cannot be written to.
    Telegram(TelegramError),
    /// The images are gone from the server.
    Gone,
    /// The process is to stop.
    Stopping,
    Notes(sqlx::Error),
}

impl From<TelegramError> for DeliveryError {
    fn from(error: TelegramError) -> Self {
        Self::Telegram(error)
    }
}

impl From<sqlx::Error> for DeliveryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Notes(error)
    }
}

/// The file of an image; a photo if Telegram takes it as one.
pub(super) async fn fetch(bot: &Bot, job: Uuid, index: u32, width: Option<u32>) -> Result<Vec<u8>, DeliveryError> {
    match bot.image(job, index, width).await {
        None => Err(DeliveryError::Stopping),
        Some(Ok(bytes)) => Ok(bytes),
        Some(Err(ServerError::Gone)) => Err(DeliveryError::Gone),
        Some(Err(error)) => {
            tracing::warn!(%error, job.id = %job, "an image cannot be read");
            Err(DeliveryError::Gone)
        }
    }
}

async fn photo(bot: &Bot, job: Uuid, image: &Image, field: String) -> Result<Upload, DeliveryError> {
    let is_large = image.width + image.height > MOST_PHOTO_SIDES;
    let mut bytes = fetch(bot, job, image.index, is_large.then_some(COPY_WIDTHS[0])).await?;
    for width in COPY_WIDTHS {
        if bytes.len() <= MOST_PHOTO_BYTES {
            break;
        }
        bytes = fetch(bot, job, image.index, Some(width)).await?;
    }
    Ok(Upload::image(field, bytes))
}

fn media(job: &Job, image: &Image, field: &str, caption: String) -> Json {
    let is_hidden = image.moderation.as_ref().is_some_and(|moderation| moderation.blurred);
    let caption = Some(caption).filter(|caption| !caption.is_empty());
    let mut media = json!({"type": "photo", "media": format!("attach://{field}")});
    if let Some(caption) = caption {
        media["caption"] = json!(caption);
    }
    if is_hidden {
        tracing::debug!(job.id = %job.id, "an image was blurred by moderation");
        media["has_spoiler"] = json!(true);
    }
    media
}

fn caption(answer: &Answer, job: &Job, image: &Image) -> String {
    let phrase = Phrase::Caption {
        prompt: answer.drawing.prompt.as_deref(),
        seed: image.seed,
        width: image.width,
        height: image.height,
    };
    let warning = |code: &str| job.warnings.iter().find(|warning| warning.code == code);
    let cut = warning("prompt_cut").and_then(|warning| warning.cut.as_deref());
    let remarks = [
        job.parameters.translation().map(Phrase::Translated),
        warning("prompt_not_translated").map(|_| Phrase::NotTranslated),
        cut.map(Phrase::PromptCut),
    ];
    let phrases = [Some(phrase)].into_iter().chain(remarks).flatten();
    phrases.map(|phrase| answer.language.say(&phrase)).collect::<Vec<_>>().join("\n")
}

fn made(job: &Job, image: &Image) -> Made {
    Made { job: job.id, index: image.index, seed: image.seed }
}

/// Show the images of a job that has succeeded.
pub(super) async fn deliver(bot: &Bot, answer: &Answer, job: &Job) -> Result<(), DeliveryError> {
    match (&answer.place, job.images.as_slice()) {
        (_, []) => Err(DeliveryError::Gone),
        (Place::Inline { .. }, [image, ..]) => deliver_inline(bot, answer, job, image).await,
        (Place::Chat { .. }, [image]) => deliver_one(bot, answer, job, image).await,
        (Place::Chat { .. }, images) => deliver_album(bot, answer, job, images).await,
    }
}

async fn deliver_one(bot: &Bot, answer: &Answer, job: &Job, image: &Image) -> Result<(), DeliveryError> {
    let field = "image";
    let uploads = [photo(bot, job.id, image, field.to_owned()).await?];
    let media = media(job, image, field, caption(answer, job, image));
    let keyboard = image_keyboard(answer.language, made(job, image), answer.drawing.prompt.is_some());
    if let Some(mut body) = answer.place.to_edit(answer.message) {
        body["media"] = media.clone();
        body["reply_markup"] = keyboard.clone();
        match bot.telegram.call::<Message>("editMessageMedia", body, &uploads).await {
            Ok(message) => return note(bot, answer, &message, job.id, image.index).await,
            // By a process that died before it could note it.
            Err(error) if error.is_done_already() => {
                if let (Some(chat), Some(message)) = (answer.place.chat(), answer.message) {
                    bot.notes.note_shown(chat, message, job.id, image.index).await?;
                }
                return Ok(());
            }
            // The user has deleted it.
            Err(error) if error.is_message_gone() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut body = answer.place.to_send();
    body["photo"] = json!(format!("attach://{field}"));
    body["caption"] = media["caption"].clone();
    body["has_spoiler"] = media["has_spoiler"].clone();
    body["reply_markup"] = keyboard;
    let message: Message = bot.telegram.call("sendPhoto", body, &uploads).await?;
    note(bot, answer, &message, job.id, image.index).await
}

async fn note(bot: &Bot, answer: &Answer, message: &Message, job: Uuid, index: u32) -> Result<(), DeliveryError> {
    bot.notes.note_shown(message.chat.id, message.message_id, job, index).await?;
    if let Some(file) = message.image().filter(|_| bot.options.storage_chat.is_some()) {
        bot.notes.note_photo(answer.user, file).await?;
    }
    Ok(())
}

/// Several images as an album, then a message with a button for each, since albums have none.
async fn deliver_album(bot: &Bot, answer: &Answer, job: &Job, images: &[Image]) -> Result<(), DeliveryError> {
    if answer.album < AlbumStage::Sent {
        let mut uploads = Vec::new();
        let mut items = Vec::new();
        for (i, image) in images.iter().enumerate() {
            let field = format!("image{i}");
            uploads.push(photo(bot, job.id, image, field.clone()).await?);
            items.push(media(job, image, &field, if i == 0 { caption(answer, job, image) } else { String::new() }));
        }
        let mut body = answer.place.to_send();
        body["media"] = json!(items);
        let messages: Vec<Message> = bot.telegram.call("sendMediaGroup", body, &uploads).await?;
        bot.notes.set_album(answer.id, AlbumStage::Sent).await?;
        for (message, image) in messages.iter().zip(images) {
            note(bot, answer, message, job.id, image.index).await?;
        }
    }
    if answer.album < AlbumStage::Numbered {
        let indices: Vec<u32> = images.iter().map(|image| image.index).collect();
        let keyboard = pick_keyboard(answer.language, job.id, &indices);
        bot.say(&answer.place, &answer.language.say(&Phrase::Pick), Some(keyboard)).await?;
        bot.notes.set_album(answer.id, AlbumStage::Numbered).await?;
    }
    if let Some(body) = answer.place.to_edit(answer.message)
        && let Err(error) = bot.telegram.call::<bool>("deleteMessage", body, &[]).await
    {
        tracing::debug!(%error, "a message cannot be deleted");
    }
    Ok(())
}

/// An inline message takes no files: the image goes to the storage chat first, and from there by its id.
async fn deliver_inline(bot: &Bot, answer: &Answer, job: &Job, image: &Image) -> Result<(), DeliveryError> {
    let Some(storage) = bot.options.storage_chat else { return Err(DeliveryError::Gone) };
    let uploads = [photo(bot, job.id, image, "image".to_owned()).await?];
    let stored = json!({"chat_id": storage, "photo": "attach://image", "disable_notification": true});
    let stored: Message = bot.telegram.call("sendPhoto", stored, &uploads).await?;
    let file = stored.image().ok_or_else(|| TelegramError::Refused("a photo without sizes".to_owned()))?;
    bot.notes.note_photo(answer.user, file).await?;
    let mut media = media(job, image, "", caption(answer, job, image));
    media["media"] = json!(file);
    let mut body = answer.place.to_edit(None).unwrap_or_default();
    body["media"] = media;
    body["reply_markup"] = inline_keyboard(answer.language, made(job, image));
    match bot.telegram.call::<Json>("editMessageMedia", body, &[]).await {
        Err(error) if !error.is_done_already() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Show one image of several alone, with its buttons.
pub(super) async fn deliver_pick(bot: &Bot, answer: &Answer, job: &Job, index: u32) -> Result<(), DeliveryError> {
    let image = job.images.iter().find(|image| image.index == index).ok_or(DeliveryError::Gone)?;
    let alone = Answer { message: None, ..answer.clone() };
    deliver_one(bot, &alone, job, image).await
}
