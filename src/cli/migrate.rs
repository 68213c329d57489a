//! `kandinsky migrate`.

use std::path::PathBuf;

use clap::Args;

use super::error::CommandError;
use super::print::print_line;
use crate::app;
use crate::config::{Config, Overrides};

/// Bring the database up to date (a server does so when it starts).
#[derive(Args)]
pub(super) struct Migrate {
    /// A configuration file; config/default.toml lists every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the database and of images [default: ./data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let overrides = Overrides { data: self.data, ..Overrides::default() };
        let config = Config::load(self.config.as_deref(), &overrides)?;
        print_line(app::migrate(&config).await?)?;
        Ok(())
    }
}
