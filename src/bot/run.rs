//! The bot from its start to its end.
//!
//! Invariant: what was left unfinished is taken up before anything new; on the way down what is being sent is finished.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::answer::resume;
use super::context::Bot;
use super::dispatch::Dispatcher;
use super::error::{BotError, TelegramError};
use super::notes::{self, Notes};
use super::options::BotOptions;
use super::server::Server;
use super::telegram::Telegram;
use super::text::{Language, Phrase};
use super::types::User;
use super::{polling, webhook};
use crate::shutdown::StopSignals;

/// How long what is being sent may take after the process was asked to stop.
const LAST_CALLS: Duration = Duration::from_secs(20);
/// How often what is of no use any more is deleted.
const CLEANING: Duration = Duration::from_hours(6);

/// Run the bot until the process is asked to stop.
///
/// # Errors
/// A token that Telegram does not know, another process with the same bot, a file that cannot be used.
pub async fn run(options: BotOptions, mut stop: StopSignals) -> Result<(), BotError> {
    let server = Server::new(&options.server, options.key.as_ref()).map_err(BotError::Options)?;
    let telegram = Telegram::new(&options.api_root, options.token.clone());
    let telegram = telegram.map_err(|error| BotError::Options(error.to_string()))?;
    let _lock = notes::lock(&options.file)?;
    let notes = Notes::open(&options.file).await?;
    let stopping = CancellationToken::new();
    tokio::spawn({
        let stopping = stopping.clone();
        async move {
            stop.requested().await;
            tracing::info!("finishing what is being sent");
            stopping.cancel();
        }
    });
    let me = tokio::select! {
        me = introduce(&telegram, &options) => me?,
        () = stopping.cancelled() => return Ok(()),
    };
    if options.allowed.is_empty() {
        tracing::warn!("bot.allowed is empty: anyone who finds this bot may draw with your server");
    }
    let bot = Arc::new(Bot::new(options, (telegram, server, notes), me, stopping));
    tokio::spawn({
        let bot = bot.clone();
        async move { bot.feed.follow(&bot.server).await }
    });
    tokio::spawn({
        let bot = bot.clone();
        async move {
            loop {
                tokio::time::sleep(CLEANING).await;
                if let Err(error) = bot.notes.forget_old().await {
                    tracing::warn!(%error, "the bot's file cannot be cleaned");
                }
            }
        }
    });
    let dispatcher = Arc::new(Dispatcher::new(bot.clone()));
    let unfinished = bot.notes.open_answers().await?;
    tracing::info!(
        answers.unfinished = unfinished.len(),
        "ready as @{}",
        bot.me.username.as_deref().unwrap_or_default()
    );
    for answer in unfinished {
        resume(&bot, answer);
    }
    for update in bot.notes.unfinished_updates().await? {
        dispatcher.dispatch(update).await?;
    }
    let outcome = match &bot.options.webhook {
        None => polling::poll(&bot, &dispatcher, &updates(&bot.options)).await,
        Some(webhook) => webhook::listen(&bot, dispatcher.clone(), webhook).await,
    };
    bot.stopping.cancel();
    bot.tasks.close();
    if tokio::time::timeout(LAST_CALLS, bot.tasks.wait()).await.is_err() {
        tracing::warn!("some answers are finished at the next start");
    }
    outcome
}

/// The kinds of updates that the bot has a use for.
fn updates(options: &BotOptions) -> Vec<&'static str> {
    let mut updates = vec!["message", "callback_query"];
    if options.storage_chat.is_some() {
        updates.extend(["inline_query", "chosen_inline_result"]);
    }
    updates
}

/// Learn who the bot is, and tell Telegram how it is used.
async fn introduce(telegram: &Telegram, options: &BotOptions) -> Result<User, BotError> {
    let told = |method: &'static str| {
        move |error| match error {
            TelegramError::Token => BotError::Token,
            error => BotError::Telegram { method, why: error.to_string() },
        }
    };
    let me: User = telegram.call("getMe", json!({}), &[]).await.map_err(told("getMe"))?;
    match &options.webhook {
        None => {
            telegram.call::<bool>("deleteWebhook", json!({}), &[]).await.map_err(told("deleteWebhook"))?;
        }
        Some(webhook) => {
            let body = json!({
                "url": webhook.url,
                "secret_token": webhook.secret.expose_secret(),
                "allowed_updates": updates(options),
            });
            telegram.call::<bool>("setWebhook", body, &[]).await.map_err(told("setWebhook"))?;
        }
    }
    for language in [Language::English, Language::Russian] {
        // Without a language, it is what all others see.
        let code = (language == Language::Russian).then(|| language.name());
        for (method, mut body) in [
            ("setMyCommands", json!({"commands": commands(language)})),
            ("setMyDescription", json!({"description": language.say(&Phrase::Description)})),
        ] {
            body["language_code"] = json!(code);
            // Telegram allows few of these a day; the bot works without.
            if let Err(error) = telegram.try_call::<Json>(method, &body).await {
                tracing::warn!(%error, telegram.method = method, "Telegram does not take how the bot describes itself");
            }
        }
    }
    Ok(me)
}

fn commands(language: Language) -> Vec<Json> {
    let commands = [
        ("draw", Phrase::CommandDraw),
        ("variations", Phrase::CommandVariations),
        ("style", Phrase::CommandStyle),
        ("ratio", Phrase::CommandRatio),
        ("stop", Phrase::CommandStop),
        ("lang", Phrase::CommandLanguage),
        ("help", Phrase::CommandHelp),
    ];
    commands.map(|(command, phrase)| json!({"command": command, "description": language.say(&phrase)})).to_vec()
}
