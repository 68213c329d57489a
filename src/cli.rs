//! The command line.
//!
//! Invariant: exit codes are 0 done, 1 failed, 2 wrong usage or configuration.

mod bench;
mod generate;
mod health;
mod keys;
mod mode_flags;
mod moderation;
mod pull;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app;
use crate::config::{Config, ConfigError, Overrides};
use crate::http;
use crate::telemetry;
use crate::tensor::files::Lookup;

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
    Serve(Serve),
    /// Make pictures without a server.
    Generate(Box<generate::Generate>),
    /// Download a checkpoint into the Hugging Face hub cache.
    Pull(pull::Pull),
    /// Put load on a running server, and measure.
    Bench(Box<bench::Bench>),
    /// Make, list and revoke API keys. It works on the database, beside a running server or without one.
    Keys(keys::Keys),
    /// Prepare what moderation judges by.
    Moderation(moderation::Moderation),
    /// Bring the database up to date (a server does so when it starts).
    Migrate(Migrate),
    /// Ask a running server whether it is ready: exit code 0 if it is, 1 if not.
    Health(health::Health),
    /// Print the HTTP contract (OpenAPI 3.1).
    Openapi,
}

/// What to run on, for every command that loads a model.
#[derive(Args)]
struct ModelArgs {
    /// A configuration file; config/default.toml lists every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A folder with a checkpoint, or the id of one in the hub cache [default: the embedded kandinsky-mini].
    #[arg(long, value_name = "ID_OR_DIR")]
    model: Option<String>,
    /// auto, cpu or cuda:N; several, one worker each, are separated by commas [default: auto].
    #[arg(long)]
    device: Option<String>,
    /// auto, f32, bf16 or f16 [default: auto].
    #[arg(long)]
    dtype: Option<String>,
}

impl ModelArgs {
    fn config(
        &self,
        listen: Option<String>,
        data: Option<String>,
        allow_anonymous: Option<bool>,
    ) -> Result<Config, ConfigError> {
        let (model, device, dtype) = (self.model.clone(), self.device.clone(), self.dtype.clone());
        let overrides = Overrides { listen, data, model, device, dtype, allow_anonymous };
        Config::load(self.config.as_deref(), &overrides)
    }
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    model: ModelArgs,
    /// Address and port; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Folder of the database and of pictures [default: ./data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Let everybody who reaches the server use it, also where the address is no loopback address.
    #[arg(long)]
    allow_anonymous: bool,
    /// Print the configuration as resolved, or what is wrong with it, and stop.
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
struct Migrate {
    /// A configuration file; config/default.toml lists every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the database and of pictures [default: ./data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

impl Migrate {
    async fn run(self) -> Result<(), Problem> {
        let overrides = Overrides { data: self.data, ..Overrides::default() };
        let config = Config::load(self.config.as_deref(), &overrides)?;
        println!("{}", app::migrate(&config).await?);
        Ok(())
    }
}

impl Serve {
    async fn run(self, embedded: Option<Lookup>) -> Result<(), Problem> {
        let config = self.model.config(self.listen, self.data, self.allow_anonymous.then_some(true))?;
        if self.check {
            let problems = app::check(&config, embedded).await;
            if problems.is_empty() {
                print!("{}", config.resolved());
                return Ok(());
            }
            return Err(Problem::Usage(anyhow::anyhow!("the server would not start:\n  {}", problems.join("\n  "))));
        }
        app::features::require(&config)?;
        let _guard =
            telemetry::start(&config.telemetry()).map_err(|message| Problem::Usage(anyhow::anyhow!(message)))?;
        Ok(Box::pin(app::serve(config, embedded)).await?)
    }
}

/// What went wrong, by exit code.
enum Problem {
    Usage(anyhow::Error),
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        let error = error.into();
        if error.is::<ConfigError>() { Self::Usage(error) } else { Self::Failed(error) }
    }
}

/// Run the program. `embedded` finds the files of the model inside the binary.
#[must_use]
pub fn run(embedded: Option<Lookup>) -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("kandinsky: {error}");
            return ExitCode::from(1);
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Serve(serve) => Box::pin(serve.run(embedded)).await,
            Command::Generate(generate) => generate.run(embedded).await,
            Command::Keys(keys) => Box::pin(keys.run()).await,
            Command::Moderation(moderation) => Box::pin(moderation.run(embedded)).await,
            Command::Migrate(migrate) => Box::pin(migrate.run()).await,
            Command::Pull(pull) => Ok(pull.run().await?),
            Command::Health(health) => health.run().await,
            Command::Bench(bench) => bench.run().await,
            Command::Openapi => {
                println!("{}", serde_json::to_string_pretty(&http::contract())?);
                Ok(())
            }
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problem::Usage(error)) => {
            eprintln!("kandinsky: {error:#}");
            ExitCode::from(2)
        }
        Err(Problem::Failed(error)) => {
            eprintln!("kandinsky: {error:#}");
            ExitCode::from(1)
        }
    }
}
