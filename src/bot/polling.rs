//! Long polling: the bot asks for updates, so it works behind any router.
//!
//! Invariant: an update is confirmed by the next question, after it was noted.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::context::Bot;
use super::dispatch::Dispatcher;
use super::error::{BotError, TelegramError};
use super::types::Update;

/// How long Telegram waits for updates, s.
const WAIT_S: u64 = 50;
/// Answers of "conflict" in a row after which another process is there to stay, and the pause after each. The process whose first one
/// comes so soon after its start is the one to give way.
const NEWCOMER: Duration = Duration::from_secs(3);
const MOST_CONFLICTS: u32 = 60;
const NEWCOMERS_CONFLICTS: u32 = 5;
const CONFLICT_PAUSE: Duration = Duration::from_secs(1);

/// Ask for updates until the process is to stop.
pub(super) async fn poll(bot: &Bot, dispatcher: &Dispatcher, allowed: &[&str]) -> Result<(), BotError> {
    let mut offset = None;
    let (started, mut most_conflicts) = (Instant::now(), None);
    let mut conflicts = 0;
    let mut pause = Duration::from_millis(500);
    loop {
        let body = json!({"offset": offset, "timeout": WAIT_S, "allowed_updates": allowed});
        let answer = tokio::select! {
            answer = bot.telegram.try_call::<Vec<Json>>("getUpdates", &body) => answer,
            () = bot.stopping.cancelled() => return Ok(()),
        };
        let wait = match answer {
            Ok(updates) => {
                (conflicts, pause) = (0, Duration::from_millis(500));
                let last = updates.iter().filter_map(|update| update["update_id"].as_i64()).max();
                dispatcher.receive(updates.into_iter().filter_map(read).collect()).await?;
                // After an empty answer all are confirmed, and the numbers may begin elsewhere: after a week without updates they do.
                offset = last.map(|last| last + 1);
                continue;
            }
            Err(TelegramError::Token) => return Err(BotError::Token),
            Err(TelegramError::Conflict(why)) => {
                conflicts += 1;
                let is_newcomer = started.elapsed() < NEWCOMER;
                let most =
                    *most_conflicts.get_or_insert(if is_newcomer { NEWCOMERS_CONFLICTS } else { MOST_CONFLICTS });
                if conflicts >= most {
                    return Err(BotError::Conflict(why));
                }
                tracing::error!(%why, "another process reads the updates of this bot; a bot can have one process only");
                CONFLICT_PAUSE
            }
            Err(TelegramError::Flood(after)) => after,
            Err(error) => {
                tracing::warn!(%error, "updates cannot be read");
                pause
            }
        };
        pause = (pause * 2).min(Duration::from_secs(10));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = bot.stopping.cancelled() => return Ok(()),
        }
    }
}

/// One that is not understood is passed over, and does not hold up the others.
fn read(update: Json) -> Option<Update> {
    let id = update["update_id"].clone();
    serde_json::from_value(update)
        .inspect_err(|error| tracing::warn!(%error, update.id = %id, "an update that is not understood"))
        .ok()
}
