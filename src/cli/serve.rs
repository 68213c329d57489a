//! `kandinsky serve`, `kandinsky api` and `kandinsky worker`: one process, with all or a part of the duties.

use clap::Args;

use super::arguments::ModelArgs;
use super::error::CommandError;
use super::print::print;
use crate::jobs::Role;
use crate::shutdown::StopSignals;
use crate::tensor::files::Lookup;
use crate::{app, telemetry};

/// Serve the HTTP API.
#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    model: ModelArgs,
    /// Address and port; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Folder of the database and of images [default: ./data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Let all who reach the server use it without a key, even if the address is not a loopback address.
    #[arg(long)]
    allow_anonymous: bool,
    /// Print the configuration as resolved, or its errors, and exit.
    #[arg(long)]
    check: bool,
}

impl Serve {
    pub(super) async fn run(self, role: Role, embedded: Option<Lookup>) -> Result<(), CommandError> {
        // A check has nothing to put in order: a signal ends it.
        let stop = if self.check { None } else { Some(StopSignals::listen()?) };
        let config = self.model.load_config(self.listen, self.data, self.allow_anonymous.then_some(true))?;
        let Some(stop) = stop else {
            let app::Outlook { problems, notes } = app::check(&config, role, embedded).await;
            for note in &notes {
                eprintln!("{note}");
            }
            if problems.is_empty() {
                return Ok(print(config.resolved())?);
            }
            return Err(CommandError::Usage(anyhow::anyhow!(
                "the server would not start:\n  {}",
                problems.join("\n  ")
            )));
        };
        app::features::require(&config)?;
        let _guard =
            telemetry::start(&config.telemetry()).map_err(|message| CommandError::Usage(anyhow::anyhow!(message)))?;
        Ok(Box::pin(app::serve(config, role, embedded, stop)).await?)
    }
}
