//! The command line.
//!
//! Invariant: exit codes are 0 done, 1 failed, 2 wrong usage or configuration.

mod arguments;
mod bench;
mod bot;
mod config;
mod error;
mod fleet;
mod generate;
mod health;
mod keys;
mod migrate;
mod mode_flags;
mod moderation;
mod print;
mod pull;
mod serve;
mod translate;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::jobs::Role;
use crate::tensor::files::Lookup;
use crate::{app, http};
use error::CommandError;

/// How long what is still under way on threads may take to end.
const LAST_TASKS: Duration = Duration::from_secs(2);

/// An inference server for Kandinsky 2.1.
#[derive(Parser)]
#[command(name = "kandinsky", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the HTTP API.
    Serve(serve::Serve),
    /// Serve the HTTP API of a fleet, without a model: `kandinsky worker` makes the images (docs/fleet.md).
    Api(serve::Serve),
    /// Make images for a fleet; answers only /healthz, /readyz and /metrics.
    Worker(serve::Serve),
    /// Show the workers, queues and jobs of a fleet.
    Fleet(fleet::Fleet),
    /// Generate images without a server.
    Generate(Box<generate::Generate>),
    /// Download a checkpoint into the Hugging Face hub cache.
    Pull(pull::Pull),
    /// Put load on a running server, or make an image here, and measure.
    Bench(Box<bench::Bench>),
    /// Run a Telegram bot on a running server (docs/bot.md takes you from @BotFather to the first image).
    Bot(bot::Bot),
    /// Create, list and revoke API keys, in the database, with or without a running server.
    Keys(keys::Keys),
    /// Prepare the moderation of prompts and images.
    Moderation(moderation::Moderation),
    /// Bring the database up to date (a server does so when it starts).
    Migrate(migrate::Migrate),
    /// Ask a running server whether it is ready: exit code 0 if it is, 1 if not.
    Health(health::Health),
    /// Print every setting with its default and meaning.
    Config(config::PrintConfig),
    /// Print the HTTP contract (OpenAPI 3.1).
    Openapi,
}

/// Run the program. `embedded` finds the files of the model inside the binary.
#[must_use]
pub fn run(embedded: Option<Lookup>) -> ExitCode {
    let cli = Cli::parse();
    // What these make are the operator's jobs, images and secrets; what others make is for the person who asked for it.
    if matches!(
        cli.command,
        Command::Serve(_)
            | Command::Api(_)
            | Command::Worker(_)
            | Command::Keys(_)
            | Command::Migrate(_)
            | Command::Bot(_)
    ) {
        app::private::keep_files_private();
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return CommandError::from(error).report(),
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Serve(serve) => Box::pin(serve.run(Role::Server, embedded)).await,
            Command::Api(serve) => Box::pin(serve.run(Role::Api, embedded)).await,
            Command::Worker(serve) => Box::pin(serve.run(Role::Worker, embedded)).await,
            Command::Fleet(fleet) => Box::pin(fleet.run()).await,
            Command::Generate(generate) => generate.run(embedded).await,
            Command::Keys(keys) => Box::pin(keys.run()).await,
            Command::Moderation(moderation) => Box::pin(moderation.run(embedded)).await,
            Command::Migrate(migrate) => Box::pin(migrate.run()).await,
            Command::Pull(pull) => Ok(pull.run().await?),
            Command::Health(health) => health.run().await,
            Command::Bench(bench) => bench.run(embedded).await,
            Command::Bot(bot) => Box::pin(bot.run()).await,
            Command::Config(config) => config.run(),
            Command::Openapi => Ok(print::print_line(serde_json::to_string_pretty(&http::contract())?)?),
        }
    });
    // Loading a model is not asynchronous, so it goes on after a start that was interrupted.
    runtime.shutdown_timeout(LAST_TASKS);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
