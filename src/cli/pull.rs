//! `kandinsky pull`.

use clap::Args;

use super::print::print_line;
use crate::hub::{self, Hub, HubConfig, Precision};

/// Download a checkpoint into the Hugging Face hub cache: the three repositories ID-prior, ID and ID-inpaint. Honours
/// HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN and HF_HUB_OFFLINE; a download that was cut off is resumed.
#[derive(Args)]
pub(super) struct Pull {
    /// For example kandinsky-community/kandinsky-2-1.
    id: String,
    /// Which weights to prefer if a repository has both: half or full.
    #[arg(long, default_value = "half")]
    precision: Precision,
}

impl Pull {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let pulled = Hub::new(HubConfig::from_env()?)?.pull(&self.id, self.precision, &*hub::progress_bars()).await?;
        print_line(&pulled.report)?;
        for warning in &pulled.report.warnings {
            print_line(format_args!("note: {warning}"))?;
        }
        print_line(format_args!("run it with: kandinsky serve --model {}", self.id))
    }
}
