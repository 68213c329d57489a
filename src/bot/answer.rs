//! One answer from its opening to its end: status, turn, job, images.
//!
//! Invariant: whatever it has reached is noted before the next step, so another process goes on from there; an answer ends once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::buttons::stop_keyboard;
use super::chats::Place;
use super::context::Bot;
use super::deliver::{DeliveryError, deliver};
use super::drawing::Source;
use super::error::{FieldError, Problem, ServerError, TelegramError};
use super::notes::{Answer, NewAnswer};
use super::server::Job;
use super::status::{Status, finish_with_text};
use super::telegram::MOST_DOWNLOADED;
use super::text::Phrase;

const CHOICES_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a server may take to cancel a job before its user is told that it is stopped.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);
/// How names of fields that hold an image end.
const IMAGE: &str = "image";

/// What became of a request to open an answer.
#[derive(Debug)]
pub(super) enum Admission {
    Opened,
    /// It was opened before.
    Known,
    /// The user has this many under way.
    TooMany(usize),
    QuotaUsed,
    ModeMissing,
    PromptTooLong(usize),
}

impl Admission {
    /// Why it was not opened; `None` if it was.
    pub fn refusal(&self, bot: &Bot) -> Option<Phrase<'static>> {
        match self {
            Self::Opened | Self::Known => None,
            Self::TooMany(open) => Some(Phrase::TooMany(*open)),
            Self::QuotaUsed => Some(Phrase::QuotaUsed(bot.options.daily_images)),
            Self::ModeMissing => Some(Phrase::ModeMissing),
            Self::PromptTooLong(most) => Some(Phrase::PromptTooLong(*most)),
        }
    }
}

/// Open an answer, if its user may have one more, and begin with it.
pub(super) async fn begin(bot: &Arc<Bot>, mut new: NewAnswer) -> sqlx::Result<Admission> {
    if bot.notes.has_answer(&new.key).await? {
        return Ok(Admission::Known);
    }
    // A server that hangs is not waited for: it says by itself what it cannot do.
    let choices = tokio::time::timeout(CHOICES_TIMEOUT, bot.choices()).await.ok().flatten();
    if let Some(choices) = choices {
        new.drawing.n = new.drawing.n.min(choices.max_images).max(1);
        if !choices.modes.iter().any(|mode| mode == new.drawing.mode().name()) {
            return Ok(Admission::ModeMissing);
        }
        let length = new.drawing.prompt.as_ref().map_or(0, |prompt| prompt.chars().count());
        if length > choices.max_prompt_chars {
            return Ok(Admission::PromptTooLong(choices.max_prompt_chars));
        }
    }
    new.drawing.steps = bot.options.steps;
    let _admission = bot.admission.lock().await;
    let open = bot.open_count(new.user);
    if open >= bot.options.concurrency + bot.options.waiting {
        return Ok(Admission::TooMany(open));
    }
    let daily = bot.options.daily_images;
    if daily > 0 && bot.notes.images_today(new.user).await? + new.drawing.n > daily {
        return Ok(Admission::QuotaUsed);
    }
    match bot.notes.open_answer(new).await? {
        Some(answer) => {
            resume(bot, answer);
            Ok(Admission::Opened)
        }
        None => Ok(Admission::Known),
    }
}

/// Go on with an answer, wherever it is.
pub(super) fn resume(bot: &Arc<Bot>, answer: Answer) {
    let stop = bot.open(answer.id, answer.user, &answer.place);
    if answer.is_stopped {
        stop.cancel();
    }
    let work = Work { bot: bot.clone(), answer, stop };
    bot.tasks.spawn(work.run());
}

/// How an answer ends.
enum Ending {
    /// The images are where they belong.
    Shown,
    Said(String),
    /// The chat cannot be written to.
    Lost(TelegramError),
    /// The next process goes on.
    Left,
    Broken(sqlx::Error),
}

impl From<sqlx::Error> for Ending {
    fn from(error: sqlx::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<TelegramError> for Ending {
    fn from(error: TelegramError) -> Self {
        match error {
            // The process ends, too; the next one has another token.
            TelegramError::Token => Self::Left,
            error => Self::Lost(error),
        }
    }
}

struct Work {
    bot: Arc<Bot>,
    answer: Answer,
    stop: CancellationToken,
}

impl Work {
    async fn run(mut self) {
        let ending = match self.work().await {
            Ok(()) => Ending::Shown,
            Err(ending) => ending,
        };
        let Self { bot, answer, .. } = &self;
        let ended = match &ending {
            Ending::Shown => Some(true),
            Ending::Said(text) => match finish_with_text(bot, answer, text).await {
                Err(TelegramError::Token) => None,
                Err(error) => {
                    tracing::info!(%error, answer.id, "an answer cannot be shown");
                    Some(false)
                }
                Ok(()) => Some(false),
            },
            Ending::Lost(error) => {
                tracing::info!(%error, answer.id, "the chat cannot be written to");
                self.cancel_job().await;
                Some(false)
            }
            Ending::Left => None,
            Ending::Broken(error) => {
                tracing::error!(%error, "the bot's file cannot be used");
                None
            }
        };
        if let Some(has_images) = ended
            && let Err(error) = bot.notes.end_answer(answer.id, has_images).await
        {
            tracing::error!(%error, "the bot's file cannot be used");
        }
        if let Some(job) = answer.job {
            bot.feed.forget(job);
        }
        bot.close(answer.id);
    }

    async fn work(&mut self) -> Result<(), Ending> {
        let turns = self.bot.turns_of(self.answer.user);
        let first = if turns.available_permits() > 0 { Phrase::Starting } else { Phrase::WaitsForYours };
        self.show(&first).await?;
        let mut status = Status::new(&self.bot, &self.answer);
        let _turn = tokio::select! {
            turn = turns.acquire_owned() => turn,
            () = self.stop.cancelled() => return Err(self.say(&Phrase::Stopped)),
            () = self.bot.stopping.cancelled() => return Err(Ending::Left),
        };
        let id = match self.answer.job {
            Some(id) => id,
            None => self.submit(&mut status).await?.id,
        };
        let job = self.follow(id, &mut status).await?;
        match job.status.as_str() {
            "succeeded" => {
                if let Some(image) = job.images.first() {
                    self.bot.notes.set_seed(self.answer.id, image.seed).await?;
                }
                self.deliver(&job).await
            }
            "canceled" => Err(self.say(&Phrase::Stopped)),
            _ => Err(match job.error {
                Some(problem) => self.explain(&problem),
                None => self.say(&Phrase::Failed(&job.status)),
            }),
        }
    }

    /// Send the message that shows how the answer is getting on, unless there is one.
    async fn show(&mut self, phrase: &Phrase<'_>) -> Result<(), Ending> {
        if self.answer.message.is_some() || self.answer.place.chat().is_none() {
            return Ok(());
        }
        let keyboard = stop_keyboard(self.answer.language, self.answer.id);
        let text = self.answer.language.say(phrase);
        let message = self.bot.say(&self.answer.place, &text, Some(keyboard)).await?;
        self.bot.notes.set_message(self.answer.id, message.message_id).await?;
        self.answer.message = Some(message.message_id);
        tracing::debug!(answer.id = self.answer.id, message.id = message.message_id, "the answer has a message");
        Ok(())
    }

    /// Bring the job to the server, however long it is away.
    async fn submit(&mut self, status: &mut Status) -> Result<Job, Ending> {
        let body = self.request().await?;
        let (server, mode, key) = (&self.bot.server, self.answer.drawing.mode(), self.answer.key.clone());
        let mut pause = Duration::from_millis(500);
        let job = loop {
            let (wait, phrase) = match server.submit(mode, &body, &key).await {
                Ok(job) => break job,
                Err(ServerError::Unreachable(why)) => {
                    tracing::warn!(%why, "the server does not answer");
                    (pause, Phrase::ServerAway)
                }
                Err(ServerError::Busy { after, why }) => {
                    tracing::info!(%why, "the server is busy");
                    (after.min(Duration::from_secs(30)), Phrase::ServerBusy)
                }
                Err(ServerError::Gone) => return Err(self.say(&Phrase::Expired)),
                Err(ServerError::Refused { status: 401 | 403, problem }) => {
                    tracing::error!(
                        why = problem.detail,
                        "the server refuses the bot: check bot.key and the key's scopes"
                    );
                    return Err(self.say(&Phrase::BotRefused));
                }
                Err(ServerError::Refused { problem, .. }) => return Err(self.explain(&problem)),
            };
            pause = (pause * 2).min(Duration::from_secs(5));
            status.note(&phrase).await?;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => return Err(self.say(&Phrase::Stopped)),
                () = self.bot.stopping.cancelled() => return Err(Ending::Left),
            }
        };
        self.bot.notes.set_job(self.answer.id, job.id).await?;
        self.answer.job = Some(job.id);
        tracing::info!(answer.id = self.answer.id, job.id = %job.id, "a job was submitted");
        Ok(job)
    }

    /// The request, with the files in it.
    async fn request(&self) -> Result<Json, Ending> {
        let mut files = Vec::new();
        for source in &self.answer.drawing.images {
            let Source::File(file) = source else { continue };
            let download = tokio::select! {
                download = self.bot.telegram.download(file) => download,
                () = self.stop.cancelled() => return Err(self.say(&Phrase::Stopped)),
                () = self.bot.stopping.cancelled() => return Err(Ending::Left),
            };
            match download {
                Ok(bytes) if bytes.len() <= MOST_DOWNLOADED => files.push(bytes),
                Err(TelegramError::Refused(why)) if !why.contains("too big") => {
                    tracing::info!(%why, "a file cannot be had");
                    return Err(self.say(&Phrase::FileGone));
                }
                Ok(_) | Err(TelegramError::Refused(_)) => return Err(self.say(&Phrase::FileTooBig)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.answer.drawing.request(&files))
    }

    /// Show the job's progress until it has ended.
    async fn follow(&mut self, id: Uuid, status: &mut Status) -> Result<Job, Ending> {
        let mut news = self.bot.feed.watch(id);
        let mut is_stopping = false;
        let mut must_read = true;
        loop {
            if must_read {
                let job = tokio::select! {
                    job = self.bot.job(id) => self.decided(job)?,
                    () = self.stop.cancelled(), if !is_stopping => {
                        is_stopping = true;
                        self.cancel(id).await?
                    }
                };
                if job.has_ended() {
                    return Ok(job);
                }
                // Told of its end, and not to be read as ended: the server is just coming back.
                if news.borrow().has_ended {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    continue;
                }
                must_read = false;
            }
            let seen = news.borrow_and_update().clone();
            if seen.has_ended {
                must_read = true;
                continue;
            }
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep_until(status.due().max(Instant::now())), if status.is_behind(&seen) => {
                    status.update(&seen).await?;
                }
                () = self.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    let job = self.cancel(id).await?;
                    if job.has_ended() {
                        return Ok(job);
                    }
                }
                () = self.bot.stopping.cancelled() => return Err(Ending::Left),
            }
        }
    }

    /// Cancel the job. A server that is away hears of it once it is back, and the user does not wait for that.
    async fn cancel(&self, id: Uuid) -> Result<Job, Ending> {
        match tokio::time::timeout(CANCEL_TIMEOUT, self.bot.server.cancel(id)).await {
            Err(_) | Ok(Err(ServerError::Unreachable(_) | ServerError::Busy { .. })) => {
                let bot = self.bot.clone();
                self.bot.tasks.spawn(async move {
                    if let Some(Err(error)) = bot.cancel(id).await {
                        tracing::debug!(%error, job.id = %id, "a job cannot be canceled");
                    }
                });
                Err(self.say(&Phrase::Stopped))
            }
            Ok(decided) => self.decided(Some(decided)),
        }
    }

    /// The job that the server has decided on.
    fn decided(&self, decision: Option<Result<Job, ServerError>>) -> Result<Job, Ending> {
        match decision {
            None => Err(Ending::Left),
            Some(Ok(job)) => Ok(job),
            Some(Err(ServerError::Gone)) => Err(self.say(&Phrase::Expired)),
            Some(Err(ServerError::Refused { problem, .. })) => Err(self.explain(&problem)),
            Some(Err(error)) => Err(self.say(&Phrase::Failed(&error.to_string()))),
        }
    }

    async fn deliver(&self, job: &Job) -> Result<(), Ending> {
        let delivery = tokio::select! {
            delivery = deliver(&self.bot, &self.answer, job) => delivery,
            // What is on its way to Telegram is finished all the same, if it does not take for ever.
            () = async {
                self.bot.stopping.cancelled().await;
                tokio::time::sleep(Duration::from_secs(15)).await;
            } => Err(DeliveryError::Stopping),
        };
        delivery.map_err(|error| match error {
            DeliveryError::Telegram(TelegramError::Refused(why)) => {
                tracing::warn!(%why, answer.id = self.answer.id, "Telegram does not take an image");
                self.say(&Phrase::Failed(&why))
            }
            DeliveryError::Telegram(error) => error.into(),
            DeliveryError::Gone => self.say(&Phrase::Expired),
            DeliveryError::Stopping => Ending::Left,
            DeliveryError::Notes(error) => Ending::Broken(error),
        })
    }

    /// There is no reader for what it would give.
    async fn cancel_job(&self) {
        if let Some(id) = self.answer.job
            && let Err(error) = self.bot.server.cancel(id).await
        {
            tracing::debug!(%error, job.id = %id, "a job cannot be canceled");
        }
    }

    fn say(&self, phrase: &Phrase<'_>) -> Ending {
        Ending::Said(self.answer.language.say(phrase))
    }

    fn explain(&self, problem: &Problem) -> Ending {
        if problem.is_moderation() {
            return self.say(&Phrase::Refused(&problem.categories));
        }
        if problem.errors.iter().any(|error| self.is_of_made_image(error)) {
            return self.say(&Phrase::Expired);
        }
        // Names of fields that hold images say nothing to those who sent one.
        let of_field = |error: &FieldError| match error.pointer.trim_start_matches('/') {
            name if name.ends_with(IMAGE) => error.message.clone(),
            name => format!("{name} {}", error.message),
        };
        let fields: Vec<String> = problem.errors.iter().map(of_field).collect();
        let detail = problem.detail.strip_prefix('/').and_then(|detail| detail.split_once(": "));
        match (fields.as_slice(), detail) {
            ([], Some((name, why))) if name.ends_with(IMAGE) => self.say(&Phrase::Invalid(why)),
            ([], _) => self.say(&Phrase::Failed(&problem.detail)),
            _ => self.say(&Phrase::Invalid(&fields.join("; "))),
        }
    }

    /// Whether it is about an image that the server made, about which nothing can be wrong but that it is gone.
    fn is_of_made_image(&self, error: &FieldError) -> bool {
        let number = error.pointer.split('/').find_map(|part| part.parse::<usize>().ok()).unwrap_or(0);
        error.pointer.ends_with(IMAGE) && matches!(self.answer.drawing.images.get(number), Some(Source::Made { .. }))
    }
}

/// The key of an answer to a message.
pub(super) fn message_key(bot: &Bot, place: &Place) -> String {
    match place {
        Place::Chat { chat, reply_to, .. } => format!("tg:{}:{chat}:{reply_to}", bot.me.id),
        Place::Inline { message } => format!("tg:{}:inline:{message}", bot.me.id),
    }
}
