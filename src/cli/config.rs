//! `kandinsky config`: every setting, as a file to start from or as a page to read.

use clap::Args;

use super::error::CommandError;
use super::print::print;
use crate::config;

/// Print every setting with its default and meaning, as a configuration file.
#[derive(Args)]
pub(super) struct PrintConfig {
    /// Print a table in Markdown instead.
    #[arg(long)]
    reference: bool,
}

impl PrintConfig {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        Ok(print(if self.reference { config::settings_md() } else { config::default_toml() })?)
    }
}
