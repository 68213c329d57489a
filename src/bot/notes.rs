//! The bot's file: updates that were received, answers under way, and chats' settings.
//!
//! Invariants: an update is noted before Telegram hears that it arrived; an answer is opened once for each message or button, by
//! its key; every method is one statement or one transaction, so a process that dies leaves nothing half noted.

use std::fs::{File, TryLockError};
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use uuid::Uuid;

use super::chats::{Chat, Place};
use super::drawing::{Drawing, Source};
use super::error::BotError;
use super::text::Language;
use super::types::Update;

const DAY_S: i64 = 86_400;
/// How long what has ended is remembered, days: longer than Telegram repeats updates and the server keeps images by default.
const KEPT_DAYS: i64 = 8;
/// Images of a user that inline mode offers.
const OFFERED: i64 = 10;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS updates (id INTEGER PRIMARY KEY, body TEXT NOT NULL, album TEXT, done INTEGER NOT NULL DEFAULT 0, at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS updates_album ON updates (album) WHERE album IS NOT NULL;
CREATE TABLE IF NOT EXISTS chats (id INTEGER PRIMARY KEY, settings TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, user INTEGER NOT NULL, place TEXT NOT NULL, drawing TEXT NOT NULL,
  language TEXT NOT NULL, message INTEGER, job TEXT, parent TEXT, seed INTEGER, album INTEGER NOT NULL DEFAULT 0, stopped INTEGER NOT NULL DEFAULT 0,
  ended INTEGER NOT NULL DEFAULT 0, charged INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS answers_user ON answers (user, at);
CREATE INDEX IF NOT EXISTS answers_job ON answers (job);
CREATE TABLE IF NOT EXISTS asks (id INTEGER PRIMARY KEY AUTOINCREMENT, chat INTEGER NOT NULL, message INTEGER, source TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS shown (chat INTEGER NOT NULL, message INTEGER NOT NULL, job TEXT NOT NULL, image INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (chat, message));
CREATE TABLE IF NOT EXISTS photos (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL, file TEXT NOT NULL);
";

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    pool: SqlitePool,
}

/// An answer to a message, a button or an inline result.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub id: i64,
    /// Known to the server as the idempotency key.
    pub key: String,
    pub user: i64,
    pub place: Place,
    pub drawing: Drawing,
    pub language: Language,
    /// The message that shows its state.
    pub message: Option<i64>,
    pub job: Option<Uuid>,
    /// The seed of the job's first image, once it is drawn.
    pub seed: Option<u64>,
    pub album: AlbumStage,
    pub is_stopped: bool,
}

/// How far an answer with several images has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum AlbumStage {
    #[default]
    NotSent,
    /// The images were sent.
    Sent,
    /// And the message with a button for each.
    Numbered,
}

/// What an answer is opened with.
#[derive(Debug, Clone)]
pub(super) struct NewAnswer {
    pub key: String,
    pub user: i64,
    pub place: Place,
    pub drawing: Drawing,
    pub language: Language,
    /// The job that is drawn once more, with its first seed: the next seed after all that were drawn since.
    pub again: Option<(Uuid, u64)>,
}

type AnswerRow = (i64, String, i64, String, String, String, Option<i64>, Option<String>, Option<i64>, i64, bool);

/// A statement for [`AnswerRow`]s.
macro_rules! select_answers {
    ($rest:literal) => {
        concat!(
            "SELECT id, key, user, place, drawing, language, message, job, seed, album, stopped FROM answers ",
            $rest
        )
    };
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Keep other processes out: two would go on with the same answers. Until the lock is dropped, or the process ends in any way.
pub(super) fn lock(path: &Path) -> Result<File, BotError> {
    let failed = |source| BotError::Lock { file: path.display().to_string(), source };
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // What people write is in the file, so it is made for its owner alone; SQLite makes those beside it alike.
    let made = options.open(path).and_then(|_| options.open(path.with_extension("sqlite.lock")));
    let file = made.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BotError::FileInUse(path.display().to_string())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

impl Notes {
    /// Open the file, or make it. The caller holds its lock.
    pub async fn open(path: &Path) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        // One connection: a bot writes little, and its statements are then in the order they are made in.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        let notes = Self { pool };
        notes.forget_old().await?;
        Ok(notes)
    }

    /// Delete what is of no use any more.
    pub async fn forget_old(&self) -> sqlx::Result<()> {
        let before = now() - KEPT_DAYS * DAY_S;
        for statement in [
            "DELETE FROM updates WHERE done = 1 AND at < ?",
            "DELETE FROM answers WHERE ended = 1 AND at < ?",
            "DELETE FROM asks WHERE at < ?",
            "DELETE FROM shown WHERE at < ?",
        ] {
            sqlx::query(statement).bind(before).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Note updates; those that were not noted before are given back, in their order.
    pub async fn receive(&self, updates: Vec<Update>) -> sqlx::Result<Vec<Update>> {
        let mut transaction = self.pool.begin().await?;
        let mut fresh = Vec::new();
        for update in updates {
            let body = serde_json::to_string(&update).unwrap_or_default();
            let noted = sqlx::query("INSERT OR IGNORE INTO updates (id, body, album, at) VALUES (?, ?, ?, ?)")
                .bind(update.update_id)
                .bind(body)
                .bind(update.message.as_ref().and_then(|message| message.media_group_id.clone()))
                .bind(now())
                .execute(&mut *transaction)
                .await?;
            if noted.rows_affected() > 0 {
                fresh.push(update);
            }
        }
        transaction.commit().await?;
        Ok(fresh)
    }

    /// Updates that were received and not dealt with.
    pub async fn unfinished_updates(&self) -> sqlx::Result<Vec<Update>> {
        let bodies: Vec<(String,)> =
            sqlx::query_as("SELECT body FROM updates WHERE done = 0 ORDER BY id").fetch_all(&self.pool).await?;
        Ok(bodies.iter().filter_map(|(body,)| serde_json::from_str(body).ok()).collect())
    }

    /// Whether an album was dealt with: pieces of it that come later belong to it.
    pub async fn is_album_done(&self, album: &str) -> sqlx::Result<bool> {
        let statement = "SELECT EXISTS (SELECT 1 FROM updates WHERE album = ? AND done = 1)";
        let (is_done,): (bool,) = sqlx::query_as(statement).bind(album).fetch_one(&self.pool).await?;
        Ok(is_done)
    }

    /// The update is dealt with; what was written in it is not kept.
    pub async fn finish_update(&self, id: i64) -> sqlx::Result<()> {
        let statement = "UPDATE updates SET done = 1, body = '' WHERE id = ?";
        sqlx::query(statement).bind(id).execute(&self.pool).await.map(drop)
    }

    /// The settings of a chat.
    pub async fn chat(&self, id: i64) -> sqlx::Result<Chat> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT settings FROM chats WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        Ok(row.and_then(|(settings,)| serde_json::from_str(&settings).ok()).unwrap_or_default())
    }

    pub async fn set_chat(&self, id: i64, chat: &Chat) -> sqlx::Result<()> {
        let settings = serde_json::to_string(chat).unwrap_or_default();
        let statement = "INSERT INTO chats (id, settings) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET settings = excluded.settings";
        sqlx::query(statement).bind(id).bind(settings).execute(&self.pool).await.map(drop)
    }

    /// A group has become another chat: what was chosen in it stays.
    pub async fn move_chat(&self, from: i64, to: i64) -> sqlx::Result<()> {
        let statement = "INSERT OR IGNORE INTO chats (id, settings) SELECT ?, settings FROM chats WHERE id = ?";
        sqlx::query(statement).bind(to).bind(from).execute(&self.pool).await.map(drop)
    }

    /// Open an answer. `None`: there is one with this key already.
    pub async fn open_answer(&self, new: NewAnswer) -> sqlx::Result<Option<Answer>> {
        let NewAnswer { key, user, place, mut drawing, language, again } = new;
        let mut transaction = self.pool.begin().await?;
        let parent = again.map(|(job, _)| job.to_string());
        if let Some((_, seed)) = again {
            let (drawn,): (i64,) = sqlx::query_as("SELECT count(*) FROM answers WHERE parent = ?")
                .bind(&parent)
                .fetch_one(&mut *transaction)
                .await?;
            // Image i of a request has the seed + i.
            let next = (drawn.unsigned_abs() + 1) * u64::from(drawing.n.max(1));
            drawing.seed = Some(seed.wrapping_add(next) & i64::MAX.unsigned_abs());
        }
        let row: Option<(i64,)> = sqlx::query_as(
            "INSERT OR IGNORE INTO answers (key, user, place, drawing, language, parent, charged, at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(&key)
        .bind(user)
        .bind(serde_json::to_string(&place).unwrap_or_default())
        .bind(serde_json::to_string(&drawing).unwrap_or_default())
        .bind(language.name())
        .bind(parent)
        .bind(drawing.n)
        .bind(now())
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(row.map(|(id,)| Answer {
            id,
            key,
            user,
            place,
            drawing,
            language,
            message: None,
            job: None,
            seed: None,
            album: AlbumStage::NotSent,
            is_stopped: false,
        }))
    }

    /// Whether there is an answer with this key.
    pub async fn has_answer(&self, key: &str) -> sqlx::Result<bool> {
        let statement = "SELECT EXISTS (SELECT 1 FROM answers WHERE key = ?)";
        let (is_known,): (bool,) = sqlx::query_as(statement).bind(key).fetch_one(&self.pool).await?;
        Ok(is_known)
    }

    /// Answers that are not finished, oldest first.
    pub async fn open_answers(&self) -> sqlx::Result<Vec<Answer>> {
        let statement = select_answers!("WHERE ended = 0 ORDER BY id");
        let rows: Vec<AnswerRow> = sqlx::query_as(statement).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().filter_map(answer).collect())
    }

    /// The answer that a job is of.
    pub async fn answer_of(&self, job: Uuid) -> sqlx::Result<Option<Answer>> {
        let statement = select_answers!("WHERE job = ?");
        let row: Option<AnswerRow> = sqlx::query_as(statement).bind(job.to_string()).fetch_optional(&self.pool).await?;
        Ok(row.and_then(answer))
    }

    pub async fn set_message(&self, answer: i64, message: i64) -> sqlx::Result<()> {
        let statement = "UPDATE answers SET message = ? WHERE id = ?";
        sqlx::query(statement).bind(message).bind(answer).execute(&self.pool).await.map(drop)
    }

    pub async fn set_job(&self, answer: i64, job: Uuid) -> sqlx::Result<()> {
        let statement = "UPDATE answers SET job = ? WHERE id = ?";
        sqlx::query(statement).bind(job.to_string()).bind(answer).execute(&self.pool).await.map(drop)
    }

    /// The job has drawn images, the first of them with this seed.
    pub async fn set_seed(&self, answer: i64, seed: u64) -> sqlx::Result<()> {
        let statement = "UPDATE answers SET seed = ? WHERE id = ?";
        sqlx::query(statement).bind(seed.cast_signed()).bind(answer).execute(&self.pool).await.map(drop)
    }

    pub async fn set_album(&self, answer: i64, album: AlbumStage) -> sqlx::Result<()> {
        let statement = "UPDATE answers SET album = ? WHERE id = ?";
        sqlx::query(statement).bind(album as i64).bind(answer).execute(&self.pool).await.map(drop)
    }

    pub async fn stop_answer(&self, answer: i64) -> sqlx::Result<()> {
        sqlx::query("UPDATE answers SET stopped = 1 WHERE id = ?").bind(answer).execute(&self.pool).await.map(drop)
    }

    /// The answer is finished. Without images, it costs its user none.
    pub async fn end_answer(&self, answer: i64, has_images: bool) -> sqlx::Result<()> {
        let statement = "UPDATE answers SET ended = 1, charged = CASE WHEN ? THEN charged ELSE 0 END WHERE id = ?";
        sqlx::query(statement).bind(has_images).bind(answer).execute(&self.pool).await.map(drop)
    }

    /// Images that a user has had today (UTC) or is waiting for.
    pub async fn images_today(&self, user: i64) -> sqlx::Result<u32> {
        let since = now() / DAY_S * DAY_S;
        let statement = "SELECT COALESCE(SUM(charged), 0) FROM answers WHERE user = ? AND at >= ?";
        let (images,): (i64,) = sqlx::query_as(statement).bind(user).bind(since).fetch_one(&self.pool).await?;
        Ok(u32::try_from(images).unwrap_or(u32::MAX))
    }

    /// Note what a message of the bot asks about; the number is in its buttons.
    pub async fn open_ask(&self, chat: i64, source: &Source) -> sqlx::Result<i64> {
        let statement = "INSERT INTO asks (chat, source, at) VALUES (?, ?, ?) RETURNING id";
        let source = serde_json::to_string(source).unwrap_or_default();
        let (id,): (i64,) = sqlx::query_as(statement).bind(chat).bind(source).bind(now()).fetch_one(&self.pool).await?;
        Ok(id)
    }

    pub async fn set_ask_message(&self, ask: i64, message: i64) -> sqlx::Result<()> {
        let statement = "UPDATE asks SET message = ? WHERE id = ?";
        sqlx::query(statement).bind(message).bind(ask).execute(&self.pool).await.map(drop)
    }

    pub async fn ask(&self, id: i64) -> sqlx::Result<Option<Source>> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT source FROM asks WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        Ok(row.and_then(|(source,)| serde_json::from_str(&source).ok()))
    }

    /// The image that a message of the bot shows or asks about.
    pub async fn image_of(&self, chat: i64, message: i64) -> sqlx::Result<Option<Source>> {
        let shown: Option<(String, u32)> =
            sqlx::query_as("SELECT job, image FROM shown WHERE chat = ? AND message = ?")
                .bind(chat)
                .bind(message)
                .fetch_optional(&self.pool)
                .await?;
        if let Some((job, index)) = shown {
            return Ok(job.parse().ok().map(|job| Source::Made { job, index }));
        }
        let asked: Option<(String,)> = sqlx::query_as("SELECT source FROM asks WHERE chat = ? AND message = ?")
            .bind(chat)
            .bind(message)
            .fetch_optional(&self.pool)
            .await?;
        Ok(asked.and_then(|(source,)| serde_json::from_str(&source).ok()))
    }

    /// Note which image a message shows.
    pub async fn note_shown(&self, chat: i64, message: i64, job: Uuid, index: u32) -> sqlx::Result<()> {
        sqlx::query("INSERT OR REPLACE INTO shown (chat, message, job, image, at) VALUES (?, ?, ?, ?, ?)")
            .bind(chat)
            .bind(message)
            .bind(job.to_string())
            .bind(index)
            .bind(now())
            .execute(&self.pool)
            .await
            .map(drop)
    }

    /// Note an image of a user for inline mode.
    pub async fn note_photo(&self, user: i64, file: &str) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("INSERT INTO photos (user, file) VALUES (?, ?)")
            .bind(user)
            .bind(file)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "DELETE FROM photos WHERE user = ? AND id NOT IN (SELECT id FROM photos WHERE user = ? ORDER BY id DESC LIMIT ?)",
        )
        .bind(user)
        .bind(user)
        .bind(OFFERED)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// A user's latest images, newest first.
    pub async fn photos(&self, user: i64) -> sqlx::Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT file FROM photos WHERE user = ? ORDER BY id DESC")
            .bind(user)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().map(|(file,)| file).collect())
    }
}

fn answer(row: AnswerRow) -> Option<Answer> {
    let (id, key, user, place, drawing, language, message, job, seed, album, is_stopped) = row;
    Some(Answer {
        id,
        key,
        user,
        place: serde_json::from_str(&place).ok()?,
        drawing: serde_json::from_str(&drawing).ok()?,
        language: Language::named(&language),
        message,
        job: job.and_then(|job| job.parse().ok()),
        seed: seed.map(i64::cast_unsigned),
        album: match album {
            0 => AlbumStage::NotSent,
            1 => AlbumStage::Sent,
            _ => AlbumStage::Numbered,
        },
        is_stopped,
    })
}
