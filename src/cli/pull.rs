//! `kandinsky pull`.

use clap::Args;

use super::print::print_line;
use crate::hub::{self, Hub, HubConfig, Precision};

/// What names the published translation model of a language: `translate-ru`, or of two: `translate-ru-en`.
const TRANSLATE: &str = "translate-";

/// Download a checkpoint into the Hugging Face hub cache: the three repositories ID-prior, ID and ID-inpaint; or a translation
/// model: translate-ru is Helsinki-NLP/opus-mt-ru-en. Honours HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN and HF_HUB_OFFLINE; a
/// download that was cut off is resumed.
#[derive(Args)]
pub(super) struct Pull {
    /// For example kandinsky-community/kandinsky-2-1, or translate-ru.
    id: String,
    /// ID is a Marian translation model, such as Helsinki-NLP/opus-mt-uk-en.
    #[arg(long)]
    translator: bool,
    /// Which weights to prefer if a repository has both: half or full.
    #[arg(long, default_value = "half")]
    precision: Precision,
}

impl Pull {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let hub = Hub::new(HubConfig::from_env()?)?;
        if let Some(id) = self.translator_id() {
            let report = hub.pull_translator(&id, self.precision, &*hub::progress_bars()).await?;
            print_line(&report)?;
            let how = format!("turn it on with: translate.backend = \"marian\", translate.model = \"{id}\"");
            return print_line(how);
        }
        let pulled = hub.pull(&self.id, self.precision, &*hub::progress_bars()).await?;
        print_line(&pulled.report)?;
        for warning in &pulled.report.warnings {
            print_line(format_args!("note: {warning}"))?;
        }
        print_line(format_args!("run it with: kandinsky serve --model {}", self.id))
    }

    /// The id of the translation model that is asked for; `None`: a checkpoint is.
    fn translator_id(&self) -> Option<String> {
        if self.translator {
            return Some(self.id.clone());
        }
        let languages = self.id.strip_prefix(TRANSLATE)?;
        let (from, to) = languages.split_once('-').unwrap_or((languages, "en"));
        Some(hub::published_translator(from, to))
    }
}
