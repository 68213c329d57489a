//! `kandinsky bot`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::CommandError;
use crate::bot::{self, BotError, BotOptions, Webhook};
use crate::config::{self, BotOverrides, Config, Overrides};
use crate::shutdown::StopSignals;
use crate::telemetry;
use crate::telemetry::LogSettings;

/// The bot's own file.
const FILE: &str = "bot.sqlite";
/// Their more talkative levels name addresses, and Telegram's have the token in them.
const QUIET: &str = "hyper=info,hyper_util=info,h2=info,reqwest=info,rustls=info";

/// Run a Telegram bot on a running server (docs/bot.md takes you from @BotFather to the first image).
#[derive(Args)]
pub(super) struct Bot {
    /// A configuration file; config/default.toml lists every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server [default: http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An API key, if the server needs one.
    #[arg(long, env = "KANDINSKY_KEY", hide_env_values = true)]
    key: Option<String>,
    /// A file with the token that @BotFather gave the bot [default: it is in KANDINSKY__BOT__TOKEN].
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Folder of the bot's own file, with chats' settings and answers under way [default: ./data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

impl Bot {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let stop = StopSignals::listen()?;
        let Self { config, server, key, token_file, data } = self;
        let overrides = BotOverrides { server, key, token_file, data };
        let config = Config::load(config.as_deref(), &Overrides { bot: overrides, ..Overrides::default() })?;
        let options = options(&config.bot).map_err(CommandError::Usage)?;
        let level = format!("{},{QUIET}", config.log.level);
        telemetry::start_logs(&LogSettings { level, ..config.log.clone() })
            .map_err(|message| CommandError::Usage(anyhow::anyhow!(message)))?;
        Box::pin(bot::run(options, stop)).await.map_err(|error| match error {
            BotError::Options(_) | BotError::Token => CommandError::Usage(error.into()),
            error => CommandError::Failed(error.into()),
        })
    }
}

fn options(bot: &config::Bot) -> anyhow::Result<BotOptions> {
    let is_set = |secret: &SecretString| !secret.expose_secret().is_empty();
    let token = token(bot)?;
    std::fs::create_dir_all(&bot.data).with_context(|| format!("bot.data: {}", bot.data.display()))?;
    Ok(BotOptions {
        server: bot.server.clone(),
        key: Some(bot.key.clone()).filter(is_set),
        token,
        api_root: bot.api_root.clone(),
        file: bot.data.join(FILE),
        allowed: bot.allowed.clone(),
        concurrency: bot.concurrency,
        waiting: bot.waiting,
        daily_images: bot.daily_images,
        variations: bot.variations,
        steps: bot.steps,
        edit_pause: Duration::from_secs_f64(bot.edit_pause_s),
        group_edit_pause: Duration::from_secs_f64(bot.group_edit_pause_s),
        storage_chat: Some(bot.storage_chat).filter(|chat| *chat != 0),
        editor_url: bot.editor_url.clone(),
        webhook: (!bot.webhook_url.is_empty()).then(|| Webhook {
            url: bot.webhook_url.clone(),
            listen: bot.webhook_listen.to_string(),
            secret: bot.webhook_secret.clone(),
        }),
    })
}

/// The token, from the configuration or from its file. No message repeats what is in the file.
fn token(bot: &config::Bot) -> anyhow::Result<SecretString> {
    let token = match &bot.token_file {
        None => bot.token.clone(),
        Some(file) => {
            let text = std::fs::read_to_string(file);
            let text = text.with_context(|| format!("bot.token_file: cannot read {}", file.display()))?;
            text.trim().to_owned().into()
        }
    };
    if config::is_bot_token(token.expose_secret()) {
        return Ok(token);
    }
    let source = if bot.token_file.is_some() { "the file of bot.token_file has no token" } else { "there is no token" };
    anyhow::bail!(
        "{source}: @BotFather gives one, such as 123456:ABC...; set KANDINSKY__BOT__TOKEN, or --token-file (docs/bot.md)"
    )
}
