//! `kandinsky pull`.

use clap::{Args, ValueEnum};

use crate::hub::{self, Hub, HubConfig};

/// Download a checkpoint into the Hugging Face hub cache: the three repositories ID-prior, ID and ID-inpaint. Honours
/// HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN and HF_HUB_OFFLINE; a download that was cut off is taken up again.
#[derive(Args)]
pub(super) struct Pull {
    /// For example kandinsky-community/kandinsky-2-1.
    id: String,
    /// Which weights to prefer where a repository has both.
    #[arg(long, value_enum, default_value_t = Precision::Half)]
    precision: Precision,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    Half,
    Full,
}

impl Pull {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let precision = match self.precision {
            Precision::Half => hub::Precision::Half,
            Precision::Full => hub::Precision::Full,
        };
        let pulled = Hub::new(HubConfig::from_env()?)?.pull(&self.id, precision, &*hub::progress_bars()).await?;
        println!("{}", pulled.report);
        for warning in &pulled.report.warnings {
            println!("note: {warning}");
        }
        println!("run it with: kandinsky serve --model {}", self.id);
        Ok(())
    }
}
