//! Pressed buttons.
//!
//! Invariant: Telegram is answered first, within the few seconds that it waits; what takes longer comes after.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::answer::{self, Admission};
use super::buttons::{Ask, Change, ChatChange, Made, Press, image_keyboard, ratio_menu, style_menu};
use super::chats::{Chat, Place};
use super::commands::is_administrator;
use super::context::Bot;
use super::deliver::{DeliveryError, deliver_pick, fetch};
use super::drawing::{Drawing, Source};
use super::notes::{AlbumStage, Answer, NewAnswer};
use super::server::Job;
use super::text::{Language, Phrase};
use super::types::{CallbackQuery, Message};
use super::upload::Upload;

/// One pressed button.
struct Pressed {
    bot: Arc<Bot>,
    query: CallbackQuery,
    place: Place,
    language: Language,
}

/// Deal with a pressed button.
pub(super) async fn handle(bot: &Arc<Bot>, query: CallbackQuery) -> sqlx::Result<()> {
    let place = match (&query.message, &query.inline_message_id) {
        (Some(message), _) => Place::below(message),
        (None, Some(message)) => Place::Inline { message: message.clone() },
        (None, None) => return Ok(()),
    };
    let chat = match place.chat() {
        Some(chat) => bot.notes.chat(chat).await?,
        None => Chat::default(),
    };
    let language = chat.language.unwrap_or_else(|| Language::of_code(query.from.language_code.as_deref()));
    let press = query.data.as_deref().and_then(Press::read);
    let pressed = Pressed { bot: bot.clone(), query, place, language };
    if !bot.is_allowed(pressed.query.from.id, pressed.place.chat()) {
        pressed.acknowledge(Some(&Phrase::NotAllowed(pressed.query.from.id))).await;
        return Ok(());
    }
    let Some(press) = press else {
        pressed.acknowledge(Some(&Phrase::Expired)).await;
        return Ok(());
    };
    pressed.carry_out(press).await
}

impl Pressed {
    async fn acknowledge(&self, phrase: Option<&Phrase<'_>>) {
        let text = phrase.map(|phrase| self.language.say(phrase));
        // An answer in an alert has at most 200 characters.
        self.bot.acknowledge(&self.query.id, text.as_deref(), text.as_ref().is_some_and(|text| text.len() > 8)).await;
    }

    fn key(&self) -> String {
        let at = match (&self.place, &self.query.message) {
            (Place::Chat { chat, .. }, Some(message)) => format!("{chat}:{}", message.message_id),
            _ => "inline".to_owned(),
        };
        format!("tg:{}:{at}:{}", self.bot.me.id, self.query.id)
    }

    async fn carry_out(&self, press: Press) -> sqlx::Result<()> {
        match press {
            Press::Nothing => self.acknowledge(None).await,
            Press::Stop(answer) => return self.stop(answer).await,
            Press::Seed(Made { seed, .. }) => self.acknowledge(Some(&Phrase::Seed(&seed.to_string()))).await,
            Press::Styles(image) => {
                self.acknowledge(None).await;
                if let Some(choices) = self.bot.choices().await {
                    self.set_keyboard(style_menu(self.language, image, &choices.styles)).await;
                }
            }
            Press::Ratios(image) => {
                self.acknowledge(None).await;
                if let Some(choices) = self.bot.choices().await {
                    self.set_keyboard(ratio_menu(self.language, image, &choices.ratios)).await;
                }
            }
            Press::Back(image) => {
                self.acknowledge(None).await;
                self.restore_keyboard(image).await?;
            }
            Press::File(image) => {
                self.acknowledge(None).await;
                self.send_file(image).await;
            }
            Press::Pick { job, index } => {
                self.acknowledge(None).await;
                self.pick(job, index).await?;
            }
            Press::Ask { ask, what } => return self.answer_ask(ask, what).await,
            Press::Chat(change) => return self.change_chat(change).await,
            Press::Variations(image) => {
                let source = Source::Made { job: image.job, index: image.index };
                let n = self.bot.options.variations;
                let drawing = Drawing { n, ..Drawing::of_images(vec![source], None) };
                return self.begin(drawing, None).await;
            }
            Press::Again(job) => return self.repeat(job, |drawing, first| (drawing, Some((job, first)))).await,
            Press::Redraw { job, index, change } => return self.redraw(job, index, change).await,
        }
        Ok(())
    }

    async fn stop(&self, answer: i64) -> sqlx::Result<()> {
        match self.bot.owner_of(answer) {
            None => self.acknowledge(Some(&Phrase::NothingToStop)).await,
            Some(owner) if !self.is_owner(owner).await => self.acknowledge(Some(&Phrase::NotYours)).await,
            Some(_) => {
                self.acknowledge(None).await;
                self.bot.notes.stop_answer(answer).await?;
                self.bot.stop(answer);
            }
        }
        Ok(())
    }

    /// Whether the one who pressed asked for it: in the name of the group, each of its administrators may have.
    async fn is_owner(&self, owner: i64) -> bool {
        let user = self.query.from.id;
        owner == user || (self.place.chat() == Some(owner) && is_administrator(&self.bot, owner, user).await)
    }

    /// Begin with a drawing, and answer the button with what becomes of it.
    async fn begin(&self, drawing: Drawing, again: Option<(Uuid, u64)>) -> sqlx::Result<()> {
        let admission = self.open(drawing, again).await?;
        match admission.refusal(&self.bot) {
            None if matches!(admission, Admission::Known) => {}
            None => self.acknowledge(Some(&Phrase::Accepted)).await,
            Some(phrase) => self.acknowledge(Some(&phrase)).await,
        }
        Ok(())
    }

    async fn open(&self, drawing: Drawing, again: Option<(Uuid, u64)>) -> sqlx::Result<Admission> {
        let (user, place, language) = (self.query.from.id, self.place.clone(), self.language);
        answer::begin(&self.bot, NewAnswer { key: self.key(), user, place, drawing, language, again }).await
    }

    /// Draw an image of a job once more, changed in some way. What the bot has no note of, the server may still know.
    async fn repeat(
        &self,
        job: Uuid,
        change: impl FnOnce(Drawing, u64) -> (Drawing, Option<(Uuid, u64)>),
    ) -> sqlx::Result<()> {
        let noted = self.bot.notes.answer_of(job).await?;
        if let Some((drawing, seed)) = noted.and_then(|answer| Some((answer.drawing, answer.seed?))) {
            let (drawing, again) = change(drawing, seed);
            return self.begin(drawing, again).await;
        }
        self.acknowledge(None).await;
        let found = match self.bot.job(job).await {
            None => return Ok(()),
            Some(found) => found.ok().and_then(|job| drawing_of(&job)),
        };
        let phrase = match found {
            Some((drawing, seed)) => {
                let (drawing, again) = change(drawing, seed);
                self.open(drawing, again).await?.refusal(&self.bot)
            }
            None => Some(Phrase::Expired),
        };
        if let Some(phrase) = phrase {
            self.bot.say_phrase(&self.place, self.language, &phrase).await;
        }
        Ok(())
    }

    /// The same image in another style or shape: with its own seed, so that the change is what is seen.
    async fn redraw(&self, job: Uuid, index: u32, change: Change) -> sqlx::Result<()> {
        let mut own = None;
        let redrawn = |drawing, first: u64| {
            let seed = first.wrapping_add(u64::from(index));
            own = Some(seed);
            let mut drawing = Drawing { n: 1, seed: Some(seed), ..drawing };
            match change {
                Change::Style(style) => drawing.style = style,
                Change::Ratio(ratio) => drawing.ratio = ratio,
            }
            (drawing, None)
        };
        self.repeat(job, redrawn).await?;
        match own {
            Some(seed) => self.restore_keyboard(Made { job, index, seed }).await,
            // The image has expired, and with it what its buttons would say.
            None => Ok(()),
        }
    }

    async fn set_keyboard(&self, keyboard: Json) {
        let message = self.query.message.as_ref().map(|message| message.message_id);
        let Some(mut body) = self.place.to_edit(message) else { return };
        body["reply_markup"] = keyboard;
        if let Err(error) = self.bot.telegram.call::<Json>("editMessageReplyMarkup", body, &[]).await
            && !error.is_done_already()
        {
            tracing::debug!(%error, "buttons cannot be changed");
        }
    }

    async fn restore_keyboard(&self, image: Made) -> sqlx::Result<()> {
        let drawing = self.bot.notes.answer_of(image.job).await?.map(|answer| answer.drawing);
        let has_prompt = drawing.is_none_or(|drawing| drawing.prompt.is_some());
        self.set_keyboard(image_keyboard(self.language, image, has_prompt)).await;
        Ok(())
    }

    /// The file as the server made it; photos are compressed once more by Telegram.
    async fn send_file(&self, image: Made) {
        let bytes = match fetch(&self.bot, image.job, image.index, None).await {
            Ok(bytes) => bytes,
            Err(DeliveryError::Stopping) => return,
            Err(_) => return self.bot.say_phrase(&self.place, self.language, &Phrase::Expired).await,
        };
        let mut upload = Upload::image("file", bytes);
        let extension = upload.file_name.rsplit_once('.').map_or("png", |(_, extension)| extension).to_owned();
        upload.file_name = format!("kandinsky-{}-{}.{extension}", image.job.simple(), image.index);
        let mut body = self.place.to_send();
        body["document"] = json!("attach://file");
        // Otherwise Telegram makes a photo of it.
        body["disable_content_type_detection"] = json!(true);
        if let Err(error) = self.bot.telegram.call::<Message>("sendDocument", body, &[upload]).await {
            tracing::info!(%error, "a file cannot be sent");
        }
    }

    async fn pick(&self, job: Uuid, index: u32) -> sqlx::Result<()> {
        let noted = self.bot.notes.answer_of(job).await?;
        let found = match self.bot.job(job).await {
            Some(Ok(job)) => job,
            None => return Ok(()),
            Some(Err(_)) => {
                self.bot.say_phrase(&self.place, self.language, &Phrase::Expired).await;
                return Ok(());
            }
        };
        let answer = Answer {
            id: 0,
            key: String::new(),
            user: self.query.from.id,
            place: self.place.clone(),
            drawing: noted.map(|answer| answer.drawing).unwrap_or_default(),
            language: self.language,
            message: None,
            job: Some(job),
            seed: None,
            album: AlbumStage::NotSent,
            is_stopped: false,
        };
        match deliver_pick(&self.bot, &answer, &found, index).await {
            Ok(()) | Err(DeliveryError::Stopping) => Ok(()),
            Err(DeliveryError::Notes(error)) => Err(error),
            Err(DeliveryError::Gone) => {
                self.bot.say_phrase(&self.place, self.language, &Phrase::Expired).await;
                Ok(())
            }
            Err(DeliveryError::Telegram(error)) => {
                tracing::info!(%error, "an image cannot be sent");
                Ok(())
            }
        }
    }

    async fn answer_ask(&self, ask: i64, what: Ask) -> sqlx::Result<()> {
        let Some(source) = self.bot.notes.ask(ask).await? else {
            self.acknowledge(Some(&Phrase::Expired)).await;
            return Ok(());
        };
        let phrase = match what {
            Ask::Variations => {
                let n = self.bot.options.variations;
                return self.begin(Drawing { n, ..Drawing::of_images(vec![source], None) }, None).await;
            }
            Ask::FuseText => Phrase::SendText,
            Ask::FusePhoto => Phrase::SendPhoto,
        };
        self.acknowledge(None).await;
        // A reply to this message means the image.
        let Some(chat) = self.place.chat() else { return Ok(()) };
        let next = self.bot.notes.open_ask(chat, &source).await?;
        let markup = json!({"force_reply": true, "selective": true});
        match self.bot.say(&self.place, &self.language.say(&phrase), Some(markup)).await {
            Ok(message) => self.bot.notes.set_ask_message(next, message.message_id).await,
            Err(error) => {
                tracing::info!(%error, "a message cannot be sent");
                Ok(())
            }
        }
    }

    async fn change_chat(&self, change: ChatChange) -> sqlx::Result<()> {
        self.acknowledge(None).await;
        let (Some(id), Some(message)) = (self.place.chat(), &self.query.message) else { return Ok(()) };
        let mut chat = self.bot.notes.chat(id).await?;
        let mut language = self.language;
        let none = |name: &Option<String>, phrase: Phrase<'_>| name.clone().unwrap_or_else(|| language.say(&phrase));
        let said = match &change {
            ChatChange::Style(name) => {
                let styles = self.bot.choices().await.map(|choices| choices.styles).unwrap_or_default();
                let style = styles.into_iter().find(|style| Some(&style.name) == name.as_ref());
                let title = style.map(|style| match language {
                    Language::English => style.title.en,
                    Language::Russian => style.title.ru,
                });
                language.say(&Phrase::StyleSet(&title.unwrap_or_else(|| none(name, Phrase::NoStyle))))
            }
            ChatChange::Ratio(name) => language.say(&Phrase::RatioSet(&none(name, Phrase::ModelsRatio))),
            ChatChange::Language(chosen) => {
                language = *chosen;
                language.say(&Phrase::LanguageSet)
            }
        };
        match change {
            ChatChange::Style(style) => chat.style = style,
            ChatChange::Ratio(ratio) => chat.ratio = ratio,
            ChatChange::Language(chosen) => chat.language = Some(chosen),
        }
        self.bot.notes.set_chat(id, &chat).await?;
        let body = json!({"chat_id": id, "message_id": message.message_id, "text": said});
        if let Err(error) = self.bot.telegram.call::<Json>("editMessageText", body, &[]).await
            && !error.is_done_already()
        {
            tracing::debug!(%error, "a message cannot be changed");
        }
        Ok(())
    }
}

/// What was drawn and its first seed, as far as a job says: of one without images of its own.
fn drawing_of(job: &Job) -> Option<(Drawing, u64)> {
    let is_text = job.mode == Drawing::default().mode().name() && job.parameters.style.is_none();
    let prompt = job.parameters.prompt.clone().filter(|_| is_text)?;
    Some((Drawing::of_prompt(prompt), job.images.first()?.seed))
}
