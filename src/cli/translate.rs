//! Translation of the texts of `kandinsky generate`.
//!
//! Invariant: what is drawn in place of a text that was given is printed.

use super::error::CommandError;
use crate::app;
use crate::config::Config;
use crate::domain::{ApplyTo, TranslateWhen, TranslatedText, Warning};
use crate::modes::Generation;
use crate::tensor::files::Lookup;

/// Translate the texts of a request as the configuration and `when` say: what was replaced, and what is to be said of the rest.
pub(super) async fn translate_texts(
    config: &Config,
    embedded: Option<Lookup>,
    generation: &mut Generation,
    when: Option<TranslateWhen>,
) -> Result<(Vec<TranslatedText>, Vec<Warning>), CommandError> {
    let Some(translation) = app::start_translation(config, embedded).await? else {
        if when.is_some_and(|when| when != TranslateWhen::Off) {
            let message = "--translate needs something that translates, such as --translator marian";
            return Err(CommandError::Usage(anyhow::anyhow!(message)));
        }
        return Ok((Vec::new(), Vec::new()));
    };
    let when = translation.when(when);
    let (pointers, texts): (Vec<String>, Vec<String>) = generation.texts().into_iter().unzip();
    match translation.translate_prompts(&texts, generation.common.prompt_syntax, when).await {
        Ok(translations) => {
            let translated = generation.set_translations(translations);
            if config.translate.apply_to == ApplyTo::Clip {
                generation.common.decoder_originals.clone_from(&translated);
            }
            Ok((translated, Vec::new()))
        }
        Err(error) if translation.config().fail_open => {
            tracing::warn!(%error, "a prompt was not translated");
            let left = pointers.iter().zip(&texts).filter(|(_, text)| translation.applies_to(text, when));
            Ok((Vec::new(), left.map(|(pointer, _)| Warning::not_translated(pointer)).collect()))
        }
        Err(error) => Err(anyhow::Error::from(error).context("the prompt cannot be translated").into()),
    }
}
