//! `kandinsky pull`.

use clap::Args;

use super::print::print_line;
use crate::hub::{self, Hub, HubConfig, Precision};

/// What names the published translation model of a language: `translate-ru`, or of two: `translate-ru-en`.
const TRANSLATE: &str = "translate-";
/// The languages of the configuration's defaults.
const USUAL: (&str, &str) = ("ru", "en");

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
            return print_line(format_args!("turn it on with: {}", self.settings(&id)));
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
        let (from, to) = self.languages()?;
        Some(hub::published_translator(from, to))
    }

    /// The languages that are asked for.
    fn languages(&self) -> Option<(&str, &str)> {
        let languages = self.id.strip_prefix(TRANSLATE)?;
        Some(languages.split_once('-').unwrap_or((languages, USUAL.1)))
    }

    /// What turns the model of this id on.
    fn settings(&self, id: &str) -> String {
        let (from, to) = self.languages().unwrap_or(USUAL);
        let mut settings = vec!["translate.backend = \"marian\"".to_owned(), format!("translate.model = \"{id}\"")];
        for (name, language, usual) in [("from", from, USUAL.0), ("to", to, USUAL.1)] {
            if language != usual {
                settings.push(format!("translate.{name} = \"{language}\""));
            }
        }
        settings.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_languages_than_the_usual_ones_are_named_among_the_settings() {
        let settings = |id: &str| {
            let pull = Pull { id: id.to_owned(), translator: false, precision: Precision::default() };
            pull.settings(&pull.translator_id().unwrap())
        };
        let russian = "translate.backend = \"marian\", translate.model = \"Helsinki-NLP/opus-mt-ru-en\"";
        assert_eq!((settings("translate-ru"), settings("translate-ru-en")), (russian.to_owned(), russian.to_owned()));
        let ukrainian = settings("translate-uk-de");
        assert!(ukrainian.ends_with("translate.from = \"uk\", translate.to = \"de\""), "{ukrainian}");
    }
}
